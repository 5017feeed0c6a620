"""The commands of `python -m dlmone_lite`, one module each: `add` declares its options, `run` does the work.

No module here imports torch when it is loaded, so that every `--help` answers at once.
"""
