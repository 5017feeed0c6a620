"""Measuring: scores, the truth, degeneration, the Bayes floor, speed, memory, published results."""
