"""Exports each model once for all tests: the exporter takes seconds, what follows does not."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import onnx
from onnx import numpy_helper

from export.checkpoint import Checkpoint
from export.graph import export_graph

_MADE: dict[str, onnx.ModelProto] = {}


def exported(checkpoint: Checkpoint) -> onnx.ModelProto:
    """Return a copy of the graph that `export_graph` gives for a checkpoint."""
    key = checkpoint.snapshot.weights_sha256 + checkpoint.model.config.to_json_string()
    if key not in _MADE:
        _MADE[key] = export_graph(checkpoint)
    return deepcopy(_MADE[key])


def changed(
    model: onnx.ModelProto,
    suffix: str,
    place: object = ...,
    *,
    times: float = 1.0,
    plus: float = 0.0,
) -> onnx.ModelProto:
    """Return a copy of a graph in which a weight, named by its end, has other values at a place."""
    copy = deepcopy(model)
    (tensor,) = [t for t in copy.graph.initializer if t.name.endswith(suffix)]
    values = numpy_helper.to_array(tensor).copy()
    values[place] = times * values[place] + plus
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    return copy


def report_of(folder: Path, name: str) -> dict[str, Any]:
    """Return what the report says of a graph."""
    report = json.loads((folder / "report.json").read_text())
    return next(graph for graph in report["graphs"] if graph["file"] == name)
