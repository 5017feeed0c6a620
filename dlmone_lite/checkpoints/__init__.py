"""Networks on disk: one file with weights, config, vocabulary and provenance; the shipped ones by name."""
