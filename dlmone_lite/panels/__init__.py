"""The notebooks' panels: controls beside a figure, still or while something trains."""
