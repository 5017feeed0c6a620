"""For maintainers: results and README from records, the repository's address; no command of the kit."""
