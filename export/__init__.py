"""Turn a checkpoint into a bundle of graphs that are compared, scored and gated before they are published."""
