"""The CPU's operators and INT8: the same sums, in ranges that were measured."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper

import export.precision.int8
from export.checkpoint import Checkpoint
from export.fusion.cpu import check_norms
from export.precision.calibration import Range, activation_ranges, calibration_batches
from export.precision.int8 import quantized_inputs, quantized_nodes, to_int8
from export.precision.steps import column_steps
from serve.artefacts.onnx_file import metadata
from serve.encoding import EncodedBatch
from serve.errors import GraphError
from serve.running.products import FITS
from serve.session import OrtBackend
from tests.export.precision.pairs import largest_pair
from tests.exported import changed

TEXTS = ["replace oil pump", "engine leaking", "Hydraulic hose is worn .", "please clean the belt"]


@pytest.fixture(scope="module")
def ranges(checkpoint: Checkpoint, model: onnx.ModelProto) -> dict[str, Range]:
    batches = calibration_batches(checkpoint.encoder, TEXTS)
    return activation_ranges(model, quantized_inputs(model), batches)


def padded(checkpoint: Checkpoint) -> EncodedBatch:
    windows = [text.windows[0] for text in checkpoint.encoder.encode(TEXTS)]
    return checkpoint.encoder.collate(windows)


def logits(model: onnx.ModelProto, batch: EncodedBatch) -> NDArray[np.float32]:
    scores = OrtBackend(model.SerializeToString()).logits(batch)
    return scores[batch.attention_mask == 1]


def test_the_cpu_form_gives_the_fused_graphs_logits(
    checkpoint: Checkpoint, fused: onnx.ModelProto, model: onnx.ModelProto
) -> None:
    batch = padded(checkpoint)
    np.testing.assert_allclose(logits(model, batch), logits(fused, batch), atol=2e-5)


def test_onnx_runtime_runs_the_cpu_form_as_it_is_written(
    checkpoint: Checkpoint, model: onnx.ModelProto, tmp_path: Path
) -> None:
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    check_norms(onnx.load(tmp_path / "optimized.onnx"), checkpoint.shape)


def test_a_layer_norm_left_as_it_was_is_refused(
    checkpoint: Checkpoint, fused: onnx.ModelProto, model: onnx.ModelProto
) -> None:
    with pytest.raises(GraphError, match="'SkipLayerNormalization': 4"):
        check_norms(fused, checkpoint.shape)
    with pytest.raises(GraphError, match="'LayerNormalization': 6"):
        check_norms(model, replace(checkpoint.shape, num_layers=3))


def test_ranges_are_the_smallest_and_largest_values_of_all_lines(
    checkpoint: Checkpoint, model: onnx.ModelProto
) -> None:
    (name, *_) = quantized_inputs(model)  # what the first layer's attention reads
    batches = list(calibration_batches(checkpoint.encoder, TEXTS))
    assert max(batch.input_ids.shape[1] for batch in batches) > 16  # the lines joined
    found = activation_ranges(model, [name], batches)[name]
    for part in (batches[:1], batches[1:]):
        one = activation_ranges(model, [name], part)[name]
        assert found.low <= one.low < 0 < one.high <= found.high
    assert found.low == min(activation_ranges(model, [name], [b])[name].low for b in batches)


@pytest.mark.parametrize(
    ("low", "high", "zero_point"), [(-1.0, 3.0, 64), (0.0, 5.0, 0), (-3.0, 0.0, 255), (0, 0, 0)]
)
def test_eight_bits_hold_both_ends_of_a_range_and_zero(
    low: float, high: float, zero_point: int
) -> None:
    found = Range(low, high)
    assert found.zero_point == zero_point
    steps = np.rint(np.array([low, 0, high]) / found.scale) + int(found.zero_point)
    assert steps.min() >= 0
    assert steps.max() <= 255
    assert (steps[1] - int(found.zero_point)) * found.scale == 0


def test_weights_come_back_within_half_a_step_of_their_column(
    model: onnx.ModelProto, ranges: dict[str, Range]
) -> None:
    before = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    after = {t.name: numpy_helper.to_array(t) for t in to_int8(model, ranges).graph.initializer}
    names = [name for name in before if f"{name}_int8" in after]
    assert len(names) == 8
    assert not set(names) & after.keys()  # the FP32 weights are gone
    for name in names:
        scale = after[f"{name}_scale"]
        assert np.abs(after[f"{name}_int8"] * scale - before[name]).max() <= scale.max() / 2 + 1e-7
        np.testing.assert_array_equal(scale, column_steps(before[name]))


def test_fixed_ranges_make_an_answer_independent_of_its_neighbours(
    checkpoint: Checkpoint, model: onnx.ModelProto, ranges: dict[str, Range]
) -> None:
    batch = padded(checkpoint)
    fixed, dynamic = to_int8(model, ranges), to_int8(model, None)
    alone = EncodedBatch(batch.input_ids[:1], batch.attention_mask[:1])
    together = (batch.attention_mask[0] == 1).sum()
    assert (logits(fixed, batch)[:together] == logits(fixed, alone)).all()
    assert (logits(dynamic, batch)[:together] != logits(dynamic, alone)).any()


def test_values_beyond_the_range_are_held_at_its_end(
    checkpoint: Checkpoint, model: onnx.ModelProto, ranges: dict[str, Range]
) -> None:
    batch = padded(checkpoint)
    narrow = {name: Range(r.low / 50, r.high / 50) for name, r in ranges.items()}
    reference = logits(model, batch)
    assert np.abs(logits(to_int8(model, ranges), batch) - reference).max() < 0.5
    assert np.abs(logits(to_int8(model, narrow), batch) - reference).max() > 2


def test_a_graph_whose_numbers_are_not_finite_is_not_calibrated(
    checkpoint: Checkpoint, model: onnx.ModelProto
) -> None:
    broken = changed(model, "layer.0.intermediate.dense.bias", plus=np.inf)
    with pytest.raises(GraphError, match="to be finite on the calibration lines"):
        activation_ranges(
            broken, quantized_inputs(broken), calibration_batches(checkpoint.encoder, TEXTS)
        )


def test_only_the_products_named_stay_in_fp32(
    model: onnx.ModelProto, ranges: dict[str, Range]
) -> None:
    attention, product = quantized_nodes(model)[:2]
    kept = to_int8(model, ranges, [attention, product])
    by_name = {node.name: node.op_type for node in kept.graph.node}
    assert (by_name[attention], by_name[product]) == ("Attention", "MatMul")
    operators = list(by_name.values())
    assert (operators.count("QAttention"), operators.count("MatMulIntegerToFloat")) == (1, 5)


@pytest.mark.parametrize(
    ("left", "is_static", "message"),
    [
        ("_dynamic_product", False, r"expected 6 DynamicQuantizeMatMul nodes .*, got 5"),
        ("_static_product", True, r"expected 6 MatMulIntegerToFloat nodes .*, got 5"),
        ("_attention", True, r"expected 2 QAttention nodes .*, got 1"),
    ],
)
def test_a_product_left_in_fp32_is_refused(
    model: onnx.ModelProto,
    ranges: dict[str, Range],
    monkeypatch: pytest.MonkeyPatch,
    left: str,
    is_static: bool,
    message: str,
) -> None:
    quantize = getattr(export.precision.int8._Quantizer, left)
    done: list[onnx.NodeProto] = []

    def skip(self: export.precision.int8._Quantizer, node: onnx.NodeProto) -> None:
        if done:
            quantize(self, node)
        else:  # the first one only
            self._nodes.append(node)
        done.append(node)

    monkeypatch.setattr(export.precision.int8._Quantizer, left, skip)
    with pytest.raises(GraphError, match=message):
        to_int8(model, ranges if is_static else None)


def attentions(model: onnx.ModelProto, kind: str) -> list[onnx.NodeProto]:
    return [node for node in model.graph.node if node.op_type == kind]


def test_attention_keeps_how_it_scales_and_masks(
    model: onnx.ModelProto, ranges: dict[str, Range]
) -> None:
    copy = deepcopy(model)
    kept = {"num_heads": 2, "scale": 0.25, "mask_filter_value": -30.0, "unidirectional": 1}
    for node in attentions(copy, "Attention"):
        del node.attribute[:]
        node.attribute.extend(helper.make_attribute(*item) for item in kept.items())
    for node in attentions(to_int8(copy, ranges), "QAttention"):
        assert {a.name: helper.get_attribute_value(a) for a in node.attribute} == kept


def test_attention_that_reads_more_than_a_mask_or_is_not_fused_is_refused(
    model: onnx.ModelProto, ranges: dict[str, Range]
) -> None:
    copy = deepcopy(model)
    (first, *_) = attentions(copy, "Attention")
    first.input.extend(["", "bias"])
    with pytest.raises(GraphError, match=r"to have a mask only, got \['', 'bias'\]"):
        to_int8(copy, ranges)
    for node in attentions(copy, "Attention"):
        node.op_type = "MultiHeadAttention"
    with pytest.raises(GraphError, match=r"expected some QAttention nodes .*, got 0"):
        to_int8(copy, ranges)


@pytest.mark.parametrize("dynamic", [False, True])
def test_the_graph_says_that_its_products_fit_and_they_do(
    model: onnx.ModelProto, ranges: dict[str, Range], dynamic: bool
) -> None:
    assert FITS not in metadata(model.SerializeToString())
    quantized = to_int8(model, None if dynamic else ranges)
    assert FITS in metadata(quantized.SerializeToString())
    tensors = map(numpy_helper.to_array, quantized.graph.initializer)
    weights = [tensor for tensor in tensors if tensor.dtype == np.int8 and tensor.ndim == 2]
    assert len(weights) == len(quantized_nodes(model))
    assert 116 < max(map(largest_pair, weights)) <= 128
