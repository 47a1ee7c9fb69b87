"""Exports each model once for all tests: the exporter takes seconds, what follows does not."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import onnx

from export.checkpoint import Checkpoint
from export.graph import export_graph

_MADE: dict[str, onnx.ModelProto] = {}


def exported(checkpoint: Checkpoint) -> onnx.ModelProto:
    """Return a copy of the graph that `export_graph` gives for a checkpoint."""
    key = checkpoint.snapshot.weights_sha256 + checkpoint.model.config.to_json_string()
    if key not in _MADE:
        _MADE[key] = export_graph(checkpoint)
    return deepcopy(_MADE[key])


def report_of(folder: Path, name: str) -> dict[str, Any]:
    """Return what the report says of a graph."""
    report = json.loads((folder / "report.json").read_text())
    return next(graph for graph in report["graphs"] if graph["file"] == name)
