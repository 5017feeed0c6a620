"""What every training run shares: the run and its exact resume, one optimiser step, seeds, precision, processes."""
