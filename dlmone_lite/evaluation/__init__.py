"""Evaluation: scores, exact truth, degeneration, Bayes loss, lag of psi, speed, memory, published results."""
