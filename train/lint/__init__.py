"""What is wrong with a corpus, and what it holds: the checks of `python -m train check`."""
