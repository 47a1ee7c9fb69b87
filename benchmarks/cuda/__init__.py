"""Measure engines on a GPU: what they run on, how near to PyTorch they are, how fast."""
