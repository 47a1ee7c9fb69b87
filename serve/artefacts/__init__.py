"""Files from outside: what they must be before anything in them is used."""
