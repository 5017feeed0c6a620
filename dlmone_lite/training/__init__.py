"""What every training run shares: exact resume, one optimiser step, seeds, precision, processes."""
