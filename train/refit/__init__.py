"""Training a tagger's successor on new lines, and the gate it has to pass."""
