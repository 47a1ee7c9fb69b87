"""Turn a checkpoint into a bundle of graphs, each compared with PyTorch and gated on entity F1."""

import serve as serve  # before ONNX Runtime, which is told to send nothing home
