"""Measure every speed claim side by side with what a user would pick instead."""

import serve as serve  # before ONNX Runtime, which is told to send nothing home
