"""Measures how fast fine-tuning is, and how fast it could be on this machine."""
