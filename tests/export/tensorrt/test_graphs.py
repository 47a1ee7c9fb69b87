"""The graphs for TensorRT: answers as PyTorch's, types and Q/DQ as TensorRT fuses them."""

from __future__ import annotations

from collections import Counter
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper
from transformers import (
    AutoModelForTokenClassification,
    BertConfig,
    DistilBertConfig,
    ElectraConfig,
    PretrainedConfig,
    RobertaConfig,
)

from export.checkpoint import Checkpoint, TorchBackend
from export.graph import export_graph
from export.precision.calibration import Range
from export.tensorrt.fp16 import to_fp16
from export.tensorrt.int8 import quantized_inputs, to_int8
from export.tensorrt.lint.command import lint
from export.tensorrt.rewrite import for_tensorrt
from serve.encoding import EncodedBatch
from serve.errors import GraphError
from serve.session import OrtBackend

ATOL = {"plain": 1e-4, "fp16": 2e-2, "int8": 1.0}


def padded_batch(shape: tuple[int, int]) -> EncodedBatch:
    """Return random tokens; each row is two tokens shorter than the one above."""
    num_rows, num_tokens = shape
    ids = np.random.default_rng(0).integers(5, 90, shape)
    mask = np.ones_like(ids)
    for row in range(num_rows):
        mask[row, max(1, num_tokens - 2 * row) :] = 0
    return EncodedBatch(ids * mask, mask)


def real(logits: NDArray[np.float32], batch: EncodedBatch) -> NDArray[np.float32]:
    return logits[batch.attention_mask == 1]


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (3, 16), (5, 64)])
@pytest.mark.parametrize("name", sorted(ATOL))
def test_a_graph_answers_as_pytorch_does_with_and_without_padding(
    request: pytest.FixtureRequest, checkpoint: Checkpoint, name: str, shape: tuple[int, int]
) -> None:
    content = request.getfixturevalue(name).SerializeToString()
    batch = padded_batch(shape)
    got = OrtBackend(content, ids="int64" if name == "plain" else "int32").logits(batch)
    expected = TorchBackend(checkpoint.model).logits(batch)
    np.testing.assert_allclose(real(got, batch), real(expected, batch), atol=ATOL[name])


@pytest.mark.parametrize("name", ["fp16", "int8"])
def test_padding_changes_no_answer(request: pytest.FixtureRequest, name: str) -> None:
    model = request.getfixturevalue(name)
    backend = OrtBackend(model.SerializeToString(), ids="int32")
    batch = padded_batch((1, 9))
    wide = EncodedBatch(
        *(np.pad(a, ((0, 0), (0, 7))) for a in (batch.input_ids, batch.attention_mask))
    )
    np.testing.assert_allclose(backend.logits(wide)[:, :9], backend.logits(batch), atol=1e-3)


def test_the_graph_is_typed_fp16_with_int32_inputs_and_fp32_logits(fp16: onnx.ModelProto) -> None:
    onnx.checker.check_model(fp16, full_check=True)
    assert [i.type.tensor_type.elem_type for i in fp16.graph.input] == [TensorProto.INT32] * 2
    assert fp16.graph.output[0].type.tensor_type.elem_type == TensorProto.FLOAT
    kinds = {tensor.data_type for tensor in fp16.graph.initializer}
    assert kinds == {TensorProto.FLOAT16, TensorProto.INT64}
    assert {o.domain: o.version for o in fp16.opset_import} == {"": 17}
    last = next(node for node in fp16.graph.node if "logits" in node.output)
    assert (last.op_type, last.attribute[0].i) == ("Cast", TensorProto.FLOAT)


def test_no_constant_is_near_the_end_of_fp16(fp16: onnx.ModelProto) -> None:
    largest = max(
        np.abs(numpy_helper.to_array(tensor).astype(np.float64)).max(initial=0)
        for tensor in fp16.graph.initializer
        if tensor.data_type == TensorProto.FLOAT16
    )
    assert largest == 1e4


def test_shapes_and_masks_cost_few_nodes(plain: onnx.ModelProto) -> None:
    counts = Counter(node.op_type for node in plain.graph.node)
    assert len(plain.graph.node) < 2 * 35 + 20  # two layers; mask, embeddings and head
    assert counts["LayerNormalization"] == 5
    assert counts["Softmax"] == 2
    assert counts["Range"] == counts["Where"] == counts["ConstantOfShape"] == 0
    scaled = {name for node in plain.graph.node if node.op_type == "Mul" for name in node.output}
    softmax = [node.input[0] for node in plain.graph.node if node.op_type == "Softmax"]
    adds = [node for node in plain.graph.node if node.output[0] in softmax]
    assert not any(name in scaled for add in adds for name in add.input)  # scores come unscaled


def test_q_dq_stand_on_both_factors_of_each_product_of_the_encoder(int8: onnx.ModelProto) -> None:
    onnx.checker.check_model(int8, full_check=True)
    made_by = {name: node.op_type for node in int8.graph.node for name in node.output}
    quantized = [
        node
        for node in int8.graph.node
        if node.op_type == "MatMul"
        and [made_by.get(name) for name in node.input] == 2 * ["DequantizeLinear"]
    ]
    assert len(quantized) == 2 * 6  # a layer: query, key, value, output, two of the feed-forward
    assert not any("classifier" in node.name for node in quantized)
    counts = Counter(node.op_type for node in int8.graph.node)
    assert counts["QuantizeLinear"] == 2 * 4  # query, key and value share one
    assert {o.domain: o.version for o in int8.opset_import} == {"": 19}


def test_weights_are_int8_with_a_scale_per_output_channel(
    fp16: onnx.ModelProto, int8: onnx.ModelProto
) -> None:
    before = {t.name: numpy_helper.to_array(t) for t in fp16.graph.initializer}
    after = {t.name: numpy_helper.to_array(t) for t in int8.graph.initializer}
    weight_of = {n.name: n.input[1] for n in fp16.graph.node if n.op_type == "MatMul"}
    names = [name for name in after if name.endswith("_weight")]
    assert len(names) == 12
    for name in names:
        steps, scale = after[name], after[f"{name}_scale"]
        original = before[weight_of[name.removesuffix("_weight")]].astype(np.float32)
        assert steps.dtype == np.int8
        assert scale.shape == (steps.shape[1],)
        error = np.abs(steps * scale.astype(np.float32) - original)
        assert (error <= 0.51 * scale.astype(np.float32)).all()


def test_an_excluded_product_stays_fp16(fp16: onnx.ModelProto, ranges: dict[str, Range]) -> None:
    name = "model.bert.encoder.layer.1.output.dense/MatMul"
    graph = to_int8(fp16, ranges, [name]).graph
    (product,) = [node for node in graph.node if node.name == name]
    made = {output: node.op_type for node in graph.node for output in node.output}
    assert made[product.input[0]] == "Mul"
    with pytest.raises(GraphError, match="expected names of matrix products to exclude, got 'x'"):
        to_int8(fp16, ranges, ["x"])


def test_a_missing_or_infinite_range_is_refused(
    fp16: onnx.ModelProto, ranges: dict[str, Range]
) -> None:
    name = quantized_inputs(fp16)[0]
    with pytest.raises(GraphError, match=f"expected a calibrated range for {name}, got none"):
        to_int8(fp16, {n: r for n, r in ranges.items() if n != name})
    with pytest.raises(GraphError, match=f"expected a range within FP16 for {name}, got -inf to 1"):
        to_int8(fp16, {**ranges, name: Range(-np.inf, 1.0)})


def test_a_graph_without_known_attention_is_refused(exported: onnx.ModelProto) -> None:
    broken = deepcopy(exported)
    for node in broken.graph.node:
        if node.op_type == "Softmax":
            node.op_type = "LogSoftmax"
    with pytest.raises(GraphError, match="expected attention with a Softmax"):
        for_tensorrt(broken)


def test_narrowing_keeps_wide_ids_where_a_node_needs_them(plain: onnx.ModelProto) -> None:
    graph = deepcopy(plain)
    node = onnx.helper.make_node("Add", ["input_ids", "input_ids"], ["doubled"], name="ids/Add")
    graph.graph.node.append(node)
    graph.graph.output.append(
        onnx.helper.make_tensor_value_info("doubled", TensorProto.INT64, ["B", "T"])
    )
    onnx.checker.check_model(to_fp16(graph), full_check=True)


SIZES = {"vocab_size": 100, "max_position_embeddings": 66, "num_labels": 5}
WIDTHS = {
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "intermediate_size": 64,
}


@pytest.mark.parametrize(
    "config",
    [
        DistilBertConfig(dim=32, n_layers=1, n_heads=4, hidden_dim=64, **SIZES),
        ElectraConfig(embedding_size=16, **WIDTHS, **SIZES),
        BertConfig(hidden_act="gelu_new", **WIDTHS, **SIZES),
        RobertaConfig(**WIDTHS, **SIZES),
    ],
    ids=lambda config: config.model_type,
)
def test_other_families_and_activations_answer_as_pytorch_does(
    config: PretrainedConfig, folder: Path
) -> None:
    model = AutoModelForTokenClassification.from_config(config, attn_implementation="eager").eval()
    plain = for_tensorrt(export_graph(SimpleNamespace(model=model)))
    OrtBackend(plain.SerializeToString())  # calibration runs it
    graph = to_fp16(plain)
    onnx.save(graph, folder / "model.onnx")
    assert lint(folder / "model.onnx") == []
    batch = padded_batch((3, 12))
    pad = config.pad_token_id or 0
    batch = EncodedBatch(
        np.where(batch.attention_mask == 1, batch.input_ids, pad), batch.attention_mask
    )
    got = OrtBackend(graph.SerializeToString(), ids="int32").logits(batch)
    expected = TorchBackend(model).logits(batch)
    np.testing.assert_allclose(real(got, batch), real(expected, batch), atol=2e-3)
