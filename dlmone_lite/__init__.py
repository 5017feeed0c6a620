"""dlmone_lite: one-step diffusion language models, small enough to read, with worlds whose truth is known."""
