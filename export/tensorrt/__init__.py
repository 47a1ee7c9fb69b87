"""The TensorRT line: strongly typed graphs of standard operators, and the lint that judges them."""
