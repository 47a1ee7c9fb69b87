"""Which unlabelled lines to label next."""
