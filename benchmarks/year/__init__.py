"""Simulates a year of a tagger's life on mwo2kg: new lines each month, one month poisoned."""
