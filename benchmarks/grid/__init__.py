"""Measure a model by length and batch, against the machine's peak, and how its cost grows."""
