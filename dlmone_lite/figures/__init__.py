"""The notebooks' figures, a file each; their common look is style.py."""
