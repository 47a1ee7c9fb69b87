"""The model: where its base comes from, what of it is trained, its head, its checkpoint."""
