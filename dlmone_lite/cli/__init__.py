"""The commands of `python -m dlmone_lite`, one module each: `add` declares its options, `run` does the work.

No module here imports torch at its top, so that every `--help` answers at once.
"""
