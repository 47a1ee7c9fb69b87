"""Outliers divided among channels before INT8: nearly the same logits, and nearer ones in INT8."""

from __future__ import annotations

from collections import Counter
from copy import deepcopy

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper

from export.checkpoint import Checkpoint
from export.precision import split as module
from export.precision.calibration import Range, activation_ranges, calibration_batches
from export.precision.int8 import quantized_inputs, to_int8
from export.precision.smooth import channel_reach
from export.precision.split import LEAST_LIMIT, limit_of, split, splittable
from serve.encoding import EncodedBatch
from serve.errors import GraphError
from serve.session import OrtBackend
from tests.conftest import tiny_lines
from tests.exported import changed

TEXTS = [line.text for line in tiny_lines(seed=5, num_lines=40)]
BIAS = "layer.0.intermediate.dense.bias"
WIDTH = 64


@pytest.fixture(scope="module")
def batches(checkpoint: Checkpoint) -> list[EncodedBatch]:
    return list(calibration_batches(checkpoint.encoder, TEXTS))


@pytest.fixture(scope="module")
def spiky(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with one channel that reaches to about 9, as a few of a real BERT's do."""
    return changed(model, BIAS, 3, plus=9)


@pytest.fixture(scope="module")
def divided(spiky: onnx.ModelProto, batches: list[EncodedBatch]) -> onnx.ModelProto:
    return split(spiky, channel_reach(spiky, splittable(spiky), batches))


def logits(model: onnx.ModelProto, batches: list[EncodedBatch]) -> NDArray[np.float32]:
    backend = OrtBackend(model.SerializeToString())
    return np.concatenate([backend.logits(batch).ravel() for batch in batches])


def ranges_of(model: onnx.ModelProto, batches: list[EncodedBatch]) -> dict[str, Range]:
    return activation_ranges(model, quantized_inputs(model), batches)


def kinds(model: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)


def test_a_channel_is_divided_with_nearly_the_same_logits(
    spiky: onnx.ModelProto, divided: onnx.ModelProto, batches: list[EncodedBatch]
) -> None:
    widths = {tuple(tensor.dims) for tensor in divided.graph.initializer}
    assert {(32, WIDTH + 1), (WIDTH + 1,), (WIDTH + 1, 32)} <= widths
    assert kinds(divided) == kinds(spiky) + Counter(Clip=1)
    onnx.checker.check_model(divided, full_check=True)
    np.testing.assert_allclose(logits(divided, batches), logits(spiky, batches), atol=0.01)


@pytest.mark.parametrize(("most_extra", "num_extra"), [(2, 2), (WIDTH, None)])
def test_a_channel_may_become_several_down_to_the_least_limit(
    spiky: onnx.ModelProto,
    batches: list[EncodedBatch],
    monkeypatch: pytest.MonkeyPatch,
    most_extra: int,
    num_extra: int | None,
) -> None:
    reach = channel_reach(spiky, splittable(spiky), batches)
    monkeypatch.setattr(module, "MOST_EXTRA", most_extra / WIDTH)
    after = split(spiky, reach)
    if num_extra is None:  # as many as the least limit asks for
        widest = reach[splittable(spiky)[0]]
        num_extra = int(np.maximum(np.ceil(widest / LEAST_LIMIT) - 1, 0).sum())
    assert (32, WIDTH + num_extra) in {tuple(tensor.dims) for tensor in after.graph.initializer}
    np.testing.assert_allclose(logits(after, batches), logits(spiky, batches), atol=0.1)


def test_int8_is_nearer_to_fp32_and_needs_no_clip(
    spiky: onnx.ModelProto, divided: onnx.ModelProto, batches: list[EncodedBatch]
) -> None:
    expected = logits(spiky, batches)
    quantized = [to_int8(model, ranges_of(model, batches)) for model in (spiky, divided)]
    assert kinds(quantized[1]) == kinds(quantized[0])
    before, after = (np.square(logits(q, batches) - expected).mean() for q in quantized)
    assert after < before / 1.5


def test_a_product_that_stays_in_fp32_keeps_its_clip(
    spiky: onnx.ModelProto, divided: onnx.ModelProto, batches: list[EncodedBatch]
) -> None:
    (reader,) = [n.name for n in divided.graph.node if n.input[0].endswith("/clipped")]
    quantized = to_int8(divided, ranges_of(divided, batches), {reader})
    assert kinds(quantized)["Clip"] == 1
    np.testing.assert_allclose(logits(quantized, batches), logits(spiky, batches), atol=0.1)
    dynamic = to_int8(divided, None)
    np.testing.assert_allclose(logits(dynamic, batches), logits(spiky, batches), atol=0.1)


def test_without_outliers_nothing_changes(model: onnx.ModelProto) -> None:
    assert len(splittable(model)) == 2
    assert not model.graph.value_info, "shapes that `split` would have to change"
    assert split(model, {name: np.ones(WIDTH, np.float32) for name in splittable(model)}) == model


@pytest.mark.parametrize("change", ["read twice", "bias computed"])
def test_an_activation_is_left_alone_where_its_layer_is_of_another_form(
    model: onnx.ModelProto, change: str
) -> None:
    copy = deepcopy(model)
    first, second = splittable(copy)
    (activation,) = [node for node in copy.graph.node if node.output[0] == first]
    if change == "read twice":
        copy.graph.node.append(helper.make_node("Identity", [first], ["again"]))
    else:
        (bias,) = [node for node in copy.graph.node if node.output[0] == activation.input[0]]
        copy.graph.node.insert(0, helper.make_node("Identity", [bias.input[1]], ["computed"]))
        bias.input[1] = "computed"
    assert splittable(copy) == [second]


@pytest.mark.parametrize(
    ("reach", "limit"),
    [
        ([1.0] * 96, LEAST_LIMIT),
        ([1.0] * 95 + [9.5], 4.8),  # two of it: half of 9.5, by steps of 0.1
        ([1.0] * 190 + [9.5, 5.0], 4.8),  # one more channel each
        ([4.0] * 192, 4.0),  # all reach as far: none is an outlier
        ([6e4] * 3070 + [1e6] * 2, 60000.0),  # a ReLU model's, found as fast
    ],
)
def test_the_limit_is_the_least_that_takes_few_channels(reach: list[float], limit: float) -> None:
    assert limit_of(np.array(reach, dtype=np.float32)) == pytest.approx(limit)


def test_an_activation_that_is_not_finite_is_refused(
    spiky: onnx.ModelProto, batches: list[EncodedBatch]
) -> None:
    copy = changed(spiky, BIAS, 3, plus=np.inf)
    with pytest.raises(GraphError, match="to be finite on the calibration lines"):
        channel_reach(copy, splittable(copy), batches)
