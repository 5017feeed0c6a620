"""The laboratory: score distillation in the plane, small experiments and their sweeps, broken students."""
