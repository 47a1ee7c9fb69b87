"""What `python -m export verify` checks of a bundle: manifest, signature, files, graphs, labels."""
