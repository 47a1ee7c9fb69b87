"""Channels made alike before INT8: the same logits in FP32, nearer ones in INT8."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from export.checkpoint import Checkpoint
from export.precision.calibration import activation_ranges, calibration_batches
from export.precision.int8 import quantized_inputs, to_int8
from export.precision.smooth import MIGRATION, Reach, channel_reach, divided, smooth
from serve.encoding import EncodedBatch
from serve.errors import GraphError
from serve.session import OrtBackend
from tests.conftest import tiny_lines
from tests.export.precision.signed import batch_of, of_channels
from tests.exported import changed

TEXTS = [line.text for line in tiny_lines(seed=5, num_lines=40)]
OUTLIER = 40.0


@pytest.fixture(scope="module")
def uneven(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with one channel of a norm and one of attention far larger, as BERTs have.

    What reads them is as much smaller, so the logits are nearly the model's own.
    """
    for name, place, factor in (
        ("attention.output.LayerNorm.weight", np.s_[5], OUTLIER),
        ("attention.output.LayerNorm.bias", np.s_[5], OUTLIER),
        ("intermediate.dense.weight", np.s_[5], 1 / OUTLIER),
        ("attention.self.qkv.weight", np.s_[:, -7], OUTLIER),
        ("attention.self.qkv.bias", np.s_[-7], OUTLIER),
        ("attention.output.dense.weight", np.s_[-7], 1 / OUTLIER),
    ):
        model = changed(model, f"layer.0.{name}", place, times=factor)
    return model


def batches(checkpoint: Checkpoint) -> list[EncodedBatch]:
    return list(calibration_batches(checkpoint.encoder, TEXTS))


def smoothed(model: onnx.ModelProto, checkpoint: Checkpoint) -> onnx.ModelProto:
    return smooth(model, channel_reach(model, divided(model), batches(checkpoint)))


def logits(model: onnx.ModelProto, checkpoint: Checkpoint) -> NDArray[np.float32]:
    backend = OrtBackend(model.SerializeToString())
    return np.concatenate([backend.logits(batch).ravel() for batch in batches(checkpoint)])


def error(model: onnx.ModelProto, checkpoint: Checkpoint, expected: NDArray[np.float32]) -> float:
    """Return the mean squared error of a graph's logits once it is in INT8."""
    ranges = activation_ranges(model, quantized_inputs(model), batches(checkpoint))
    return float(np.square(logits(to_int8(model, ranges), checkpoint) - expected).mean())


def test_dividing_channels_does_not_change_the_logits(
    checkpoint: Checkpoint, uneven: onnx.ModelProto
) -> None:
    expected = logits(uneven, checkpoint)
    np.testing.assert_allclose(
        logits(smoothed(uneven, checkpoint), checkpoint), expected, atol=1e-4
    )


def test_int8_is_nearer_to_fp32_where_channels_differ(
    checkpoint: Checkpoint, uneven: onnx.ModelProto
) -> None:
    expected = logits(uneven, checkpoint)
    before = error(uneven, checkpoint, expected)
    assert error(smoothed(uneven, checkpoint), checkpoint, expected) < before / 4


def test_channels_reach_alike_afterwards(checkpoint: Checkpoint, uneven: onnx.ModelProto) -> None:
    before = channel_reach(uneven, divided(uneven), batches(checkpoint))
    model = smoothed(uneven, checkpoint)
    ranges = activation_ranges(model, quantized_inputs(model), batches(checkpoint))
    norm, context = "layer_norm_1", "view_3"
    assert set(before) >= {norm, context}
    assert before[norm].argmax() == 5
    for name, inside in ((norm, f"{norm}/even"), (context, context)):
        widest = max(-ranges[inside].low, ranges[inside].high)
        assert widest < before[name].max() / 8


def test_a_channel_gives_its_reach_to_weights_that_are_even(
    checkpoint: Checkpoint, model: onnx.ModelProto
) -> None:
    for part in ("weight", "bias"):
        name = f"layer.0.attention.output.LayerNorm.{part}"
        model = changed(model, name, 5, times=OUTLIER)
    before = channel_reach(model, ["layer_norm_1"], batches(checkpoint))["layer_norm_1"]
    after = smoothed(model, checkpoint)
    even = activation_ranges(after, ["layer_norm_1/even"], batches(checkpoint))["layer_norm_1/even"]
    assert before.argmax() == 5
    assert max(-even.low, even.high) < before.max() / 4


def test_only_a_norm_that_feeds_a_product_costs_a_node(
    checkpoint: Checkpoint, model: onnx.ModelProto
) -> None:
    def operators(model: onnx.ModelProto) -> list[str]:
        return [node.op_type for node in model.graph.node]

    after = smoothed(model, checkpoint)
    assert operators(after).count("Mul") == operators(model).count("Mul") + 2  # one a layer
    assert len(after.graph.node) == len(model.graph.node) + 2
    assert len(after.graph.initializer) == len(model.graph.initializer) + 2, (
        "no weight is there twice"
    )


def test_a_channel_that_is_always_zero_stays_so(
    checkpoint: Checkpoint, model: onnx.ModelProto
) -> None:
    for part in ("weight", "bias"):
        model = changed(model, f"layer.0.attention.output.LayerNorm.{part}", 3, times=0)
    model = changed(model, "layer.0.intermediate.dense.weight", 4, times=0)
    after = logits(smoothed(model, checkpoint), checkpoint)
    np.testing.assert_allclose(after, logits(model, checkpoint), atol=1e-4)


def test_the_reach_of_a_channel_is_its_largest_magnitude_in_any_batch() -> None:
    batches = [batch_of(3, 5), batch_of(4, 9, 6), batch_of(7)]
    reach = channel_reach(of_channels(1.0, -2.0, 0.0), ["x"], batches)
    assert reach["x"].tolist() == [9.0, 18.0, 0.0]


@pytest.mark.parametrize("factor", [np.nan, np.inf])
def test_a_channel_that_is_not_finite_is_refused(factor: float) -> None:
    with pytest.raises(GraphError, match="expected x to be finite on the calibration lines"):
        channel_reach(of_channels(1.0, factor), ["x"], [batch_of(3)])


def test_a_channel_is_divided_by_its_reach_and_by_less_where_its_weights_are_large(
    model: onnx.ModelProto,
) -> None:
    copy = changed(model, "layer.0.intermediate.dense.weight", 4, times=-16)
    even: Reach = {name: np.ones(32, np.float32) for name in divided(model)}
    far = {name: np.where(np.arange(32) == 7, np.float32(16), 1) for name in divided(model)}
    before, after = divisors(model, even), divisors(copy, far)
    relative = after / before * (before / after)[0]  # as against a channel that is as it was
    expected = np.ones(32)
    expected[4], expected[7] = 16 ** -(1 - MIGRATION), 16**MIGRATION
    np.testing.assert_allclose(relative, expected, rtol=1e-4)
    assert np.log(after).mean() == pytest.approx(0.0, abs=1e-5), "as large as before on the whole"


def divisors(model: onnx.ModelProto, reach: Reach) -> NDArray[np.float32]:
    """Return what the first layer norm's channels are divided by."""
    after = smooth(model, reach)
    (shares,) = [t for t in after.graph.initializer if t.name == "layer_norm_1/shares"]
    return np.reciprocal(numpy_helper.to_array(shares))
