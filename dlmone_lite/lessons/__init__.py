"""What the notebooks measure and show, behind names that read as sentences; `loops` are to be written."""
