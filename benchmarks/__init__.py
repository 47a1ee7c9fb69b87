"""Measure every speed claim side by side with what a user would pick instead."""
