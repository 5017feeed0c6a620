"""What the notebooks measure and show, behind names that read as sentences; `loops` are those to be written."""
