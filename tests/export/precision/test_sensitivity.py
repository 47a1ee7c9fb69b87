"""The error of some graphs' logits, by which nodes and ways to calibrate are ranked."""

from __future__ import annotations

from typing import cast

import numpy as np
import onnx
from onnx import numpy_helper

from export.checkpoint import Checkpoint
from export.config import ExportConfig
from export.parity import Reference
from export.precision.sensitivity import logit_errors
from export.source import Source


def test_graphs_are_ranked_by_the_error_of_their_logits(
    checkpoint: Checkpoint, fused: onnx.ModelProto, model: onnx.ModelProto
) -> None:
    def moved(name: str) -> onnx.ModelProto:
        copy = onnx.load_from_string(model.SerializeToString())
        (bias,) = [t for t in copy.graph.initializer if t.name.endswith("classifier.bias")]
        values = numpy_helper.to_array(bias) + np.float32(name)
        bias.CopyFrom(numpy_helper.from_array(values, bias.name))
        return copy

    no_reference = cast("Reference", None)
    source = Source(ExportConfig(), checkpoint, no_reference, fused, model, ["fix hose"])
    errors = logit_errors(source, ["0.1", "nan", "2"], moved)
    assert list(errors) == ["nan", "2", "0.1"]
    assert errors["nan"] == np.inf
    assert np.allclose([errors["2"], errors["0.1"]], [4.0, 0.01], rtol=1e-3)
