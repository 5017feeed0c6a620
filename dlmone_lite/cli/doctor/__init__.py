"""The checks of the command `doctor`, by subject."""
