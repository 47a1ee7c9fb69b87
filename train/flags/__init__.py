"""The command line's flags, and what their values may be."""
