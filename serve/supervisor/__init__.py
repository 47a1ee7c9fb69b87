"""Keeps Triton servers answering: starts them, asks them each second, replaces the sick."""
