"""Owns which exceptions mean that ONNX Runtime failed: they share no base class but `Exception`.

Others may come out of a run, too. A job's time limit or its end is raised by a signal's handler
wherever the program happens to be, and says nothing about a graph.
"""

from __future__ import annotations

from onnxruntime.capi import onnxruntime_pybind11_state

ORT_ERRORS: tuple[type[Exception], ...] = (
    RuntimeError,
    ValueError,
    *(
        kind
        for kind in vars(onnxruntime_pybind11_state).values()
        if isinstance(kind, type) and issubclass(kind, Exception)
    ),
)
"""What it raises: its own, and the two that its Python code and its bindings take for a failure."""
