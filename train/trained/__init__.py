"""Taggers whose training is over: found, checked and loaded."""
