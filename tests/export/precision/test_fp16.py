"""What FP16 cannot hold is measured, named, and kept out of it."""

from __future__ import annotations

import numpy as np
import onnx

from export.checkpoint import Checkpoint
from export.fusion.cpu import for_cpu
from export.precision.calibration import calibration_batches
from export.precision.fp16 import to_fp16
from export.precision.fp16_range import Extent, activation_extents, extent_of, nodes_beyond
from export.precision.rounding import rounded_to_fp16
from serve.session import OrtBackend
from tests.exported import changed

TEXTS = ["replace oil pump", "engine leaking", "Hydraulic hose is worn .", "please clean the belt"]


def extents(checkpoint: Checkpoint, model: onnx.ModelProto) -> dict[str, Extent]:
    batches = calibration_batches(checkpoint.encoder, TEXTS)
    return activation_extents(model, for_cpu(model, checkpoint.shape), batches)


def logits(model: onnx.ModelProto, checkpoint: Checkpoint) -> np.ndarray:
    windows = [text.windows[0] for text in checkpoint.encoder.encode(TEXTS)]
    batch = checkpoint.encoder.collate(windows)
    return OrtBackend(model.SerializeToString()).logits(batch)[batch.attention_mask == 1]


def test_an_extent_counts_what_overflows_and_what_vanishes() -> None:
    assert extent_of(np.float32([0, 1, -65504])).trouble == ""
    assert extent_of(np.float32([0, -65600])).trouble == "values up to 6.56e+04 overflow"
    assert "overflow" in extent_of(np.float32([1, np.nan])).trouble
    assert extent_of(np.float32([1e-9, 1, 1])).trouble == "33% of the values vanish"
    assert extent_of(np.float32([0, 0, 0, 6e-8])).trouble == ""  # zeros stay what they are
    both = extent_of(np.float32([1e-9])) | extent_of(np.float32([7, 8]))
    assert both == Extent(8.0, 3, 1)


def test_a_healthy_model_keeps_no_node(checkpoint: Checkpoint, fused: onnx.ModelProto) -> None:
    assert nodes_beyond(fused, extents(checkpoint, fused)) == {}


def test_an_overflow_inside_attention_is_seen(
    checkpoint: Checkpoint, fused: onnx.ModelProto
) -> None:
    healthy, attention = (node for node in fused.graph.node if node.op_type == "Attention")
    wild = changed(fused, attention.input[1], times=3e3)
    reasons = nodes_beyond(wild, extents(checkpoint, wild))
    assert "overflow" in reasons[attention.name]
    assert healthy.name not in reasons


def test_nodes_in_fp32_read_each_other_without_fp16_between(
    checkpoint: Checkpoint, fused: onnx.ModelProto
) -> None:
    found = extents(checkpoint, fused)
    kept = [node.name for node in (*fused.graph.node[3:8], fused.graph.node[-1])]
    half = to_fp16(fused, kept, found)
    onnx.checker.check_model(half, skip_opset_compatibility_check=True)
    by_output = {name: node for node in half.graph.node for name in node.output}
    for node in half.graph.node:
        source = by_output.get(node.input[0])
        assert not (node.op_type == "Cast" and source is not None and source.op_type == "Cast")
    inner = {name for node in half.graph.node if node.name in kept[:-1] for name in node.output}
    read = {name for node in half.graph.node if node.name in kept for name in node.input}
    assert len(inner & read) >= 3
    np.testing.assert_allclose(logits(half, checkpoint), logits(fused, checkpoint), atol=0.05)


def test_the_stand_in_rounds_all_but_the_nodes_kept(
    checkpoint: Checkpoint, fused: onnx.ModelProto
) -> None:
    wild = changed(fused, "layer.0.attention.output.LayerNorm.weight", times=1e6)
    found = extents(checkpoint, wild)
    assert not np.isfinite(logits(rounded_to_fp16(wild, (), found), checkpoint)).all()
    rounded = rounded_to_fp16(wild, nodes_beyond(wild, found), found)
    expected = logits(wild, checkpoint)
    np.testing.assert_allclose(logits(rounded, checkpoint), expected, atol=0.1)
    assert np.abs(logits(rounded, checkpoint) - expected).max() > 0
