"""Says whether a graph is ready for TensorRT, and if not what has to change."""
