"""What a command does below its options: task, training loop, log, saved state, stages, provenance."""
