"""Measure how much memory tagging takes, line after line, and how long the first answer takes."""
