"""How a graph is run fast: threads, lanes side by side, what runs together."""
