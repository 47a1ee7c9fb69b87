"""Measure a model by length and batch, against the cores' peak, and how its cost grows."""
