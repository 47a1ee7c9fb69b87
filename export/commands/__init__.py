"""The commands of `python -m export` besides exporting, one module each."""
