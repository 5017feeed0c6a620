"""What a command does below its options: task, stages, training loop, log, saved state, provenance."""
