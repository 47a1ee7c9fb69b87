"""Turn a checkpoint into a bundle of graphs, each compared with PyTorch and gated on entity F1."""
