"""The exporter's graph and the rules: what they make of each family, and what they refuse."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from transformers import (
    AutoModelForTokenClassification,
    DistilBertConfig,
    ElectraConfig,
    PreTrainedConfig,
)

import export.fusion.fuse
from export.checkpoint import Checkpoint, TorchBackend, load_checkpoint
from export.config import IR_VERSION, OPSET
from export.fusion.fuse import count_fused, expected_fusion, fuse
from export.graph import _pin_versions
from serve.encoding import EncodedBatch
from serve.errors import GraphError
from serve.session import OrtBackend
from tests.exported import exported

LENGTHS = (1, 5, 17, 64)


@pytest.fixture(scope="module")
def checkpoint(tiny_checkpoint: Path) -> Checkpoint:
    return load_checkpoint(tiny_checkpoint)


@pytest.fixture
def raw(checkpoint: Checkpoint) -> onnx.ModelProto:
    return exported(checkpoint)


def padded(pad_id: int = 0) -> EncodedBatch:
    """Return texts of `LENGTHS` tokens, padded to the longest the tiny model takes."""
    mask = np.array([[1] * n + [0] * (max(LENGTHS) - n) for n in LENGTHS], dtype=np.int64)
    ids = np.random.default_rng(0).integers(5, 80, mask.shape)
    return EncodedBatch(np.where(mask == 1, ids, pad_id), mask)


def logits(model: onnx.ModelProto, batch: EncodedBatch) -> NDArray[np.float32]:
    scores = OrtBackend(model.SerializeToString()).logits(batch)
    return scores[batch.attention_mask == 1]


def family(name: str) -> PreTrainedConfig:
    """Return a tiny configuration; ELECTRA's embeddings are narrower than its layers."""
    sizes = {"vocab_size": 200, "max_position_embeddings": 64}
    if name == "distilbert":
        return DistilBertConfig(dim=32, n_layers=2, n_heads=4, hidden_dim=64, **sizes)
    wide = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    return ElectraConfig(embedding_size=16, intermediate_size=64, **wide, **sizes)


@pytest.mark.parametrize("name", ["bert", "distilbert", "electra"])
def test_each_family_is_fused_whole_and_gives_pytorchs_logits(
    tiny_checkpoint: Path, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "checkpoint"
    shutil.copytree(tiny_checkpoint, folder)
    if name != "bert":
        config = family(name)
        config.id2label = load_checkpoint(tiny_checkpoint).model.config.id2label
        torch.manual_seed(0)
        model = AutoModelForTokenClassification.from_config(config)
        for parameter in model.parameters():  # no two alike, no bias 0
            torch.nn.init.normal_(parameter, std=0.2)
        model.save_pretrained(folder)
    checkpoint = load_checkpoint(folder)
    graph = exported(checkpoint)
    fused = fuse(graph, checkpoint.shape)
    assert count_fused(fused, checkpoint.shape) == expected_fusion(checkpoint.shape)
    batch = padded()
    expected = TorchBackend(checkpoint.model).logits(batch)[batch.attention_mask == 1]
    onnx.checker.check_model(graph, full_check=True)
    for exported_as in (graph, fused):
        np.testing.assert_allclose(logits(exported_as, batch), expected, atol=1e-4)


@pytest.mark.parametrize(
    ("kind", "name", "fused"),
    [
        ("bert", "gelu_python", "BiasGelu"),
        ("bert", "gelu_python_tanh", "FastGelu"),
        ("bert", "gelu_pytorch_tanh", "FastGelu"),
        ("bert", "gelu_fast", "FastGelu"),
        ("bert", "gelu_accurate", "FastGelu"),
        ("distilbert", "gelu_fast", "FastGelu"),
    ],
)
def test_gelu_is_fused_under_its_other_names(
    tiny_checkpoint: Path, tmp_path: Path, kind: str, name: str, fused: str
) -> None:
    folder = tmp_path / "checkpoint"
    shutil.copytree(tiny_checkpoint, folder)
    config = load_checkpoint(tiny_checkpoint).model.config if kind == "bert" else family(kind)
    config.id2label = load_checkpoint(tiny_checkpoint).model.config.id2label
    setattr(config, "hidden_act" if kind == "bert" else "activation", name)
    torch.manual_seed(0)
    model = AutoModelForTokenClassification.from_config(config).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    model.save_pretrained(folder)
    checkpoint = load_checkpoint(folder)
    counts = count_fused(fuse(exported(checkpoint), checkpoint.shape), checkpoint.shape)
    assert counts[fused] == 2
    own, renamed = (TorchBackend(m).logits(padded()) for m in (model, checkpoint.model))
    np.testing.assert_allclose(renamed, own, atol=1e-5)


def test_attention_takes_the_number_of_tokens_that_the_embeddings_count(
    checkpoint: Checkpoint, raw: onnx.ModelProto
) -> None:
    nodes = fuse(raw, checkpoint.shape).graph.node
    (embed,) = (node for node in nodes if node.op_type == "EmbedLayerNormalization")
    masks = [list(node.input[3:]) for node in nodes if node.op_type == "Attention"]
    assert masks == [[embed.output[1]]] * 2
    assert [node.op_type for node in nodes if node.input[0] == "attention_mask"] == ["Cast"]


def test_graphs_have_the_pinned_versions_module_names_and_no_paths(
    checkpoint: Checkpoint, raw: onnx.ModelProto
) -> None:
    fused = fuse(raw, checkpoint.shape)
    assert {o.domain: o.version for o in raw.opset_import} == {"": OPSET}
    assert {o.domain: o.version for o in fused.opset_import} == {"": OPSET, "com.microsoft": 1}
    names = [node.name for node in fused.graph.node]
    assert len(set(names)) == len(names) == 19
    assert "model.bert.encoder.layer.1.intermediate.dense/BiasGelu" in names
    assert "model.bert.encoder.layer.0.output.dense/MatMul" in names
    for graph in (raw, fused):
        assert graph.ir_version == IR_VERSION
        assert b".py" not in graph.SerializeToString()


def test_fusion_leaves_the_graph_it_was_given_as_it_was(
    checkpoint: Checkpoint, raw: onnx.ModelProto
) -> None:
    before = raw.SerializeToString(deterministic=True)
    fuse(raw, checkpoint.shape)
    assert raw.SerializeToString(deterministic=True) == before


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("FuseAttention", "got Attention 0 of 2;"),
        ("FuseSkipLayerNorm", "got SkipLayerNormalization 0 of 4;"),
        ("FuseEmbeddings", "got Attention 0 of 2, EmbedLayerNormalization 0 of 1;"),
        ("bias_gelu_rules", "got BiasGelu 0 of 2;"),
    ],
)
def test_a_rule_that_does_nothing_is_noticed(
    checkpoint: Checkpoint,
    raw: onnx.ModelProto,
    monkeypatch: pytest.MonkeyPatch,
    rule: str,
    message: str,
) -> None:
    if rule == "bias_gelu_rules":
        monkeypatch.setattr(export.fusion.fuse, rule, export.fusion.fuse.gelu_rules)
    else:
        found = getattr(export.fusion.fuse, rule)
        monkeypatch.setattr(found, "holds", lambda self, context, **matched: False)
    with pytest.raises(GraphError, match=f"expected 2 layers to be fused whole, {message}"):
        fuse(raw, checkpoint.shape)


def swap_subtraction(graph: onnx.GraphProto) -> None:
    (sub,) = (node for node in graph.node if node.op_type == "Sub")
    sub.input[:] = reversed(sub.input)


def weaken_mask(graph: onnx.GraphProto) -> None:
    (sub,) = (node for node in graph.node if node.op_type == "Sub")
    (mul,) = (node for node in graph.node if sub.output[0] in node.input)
    graph.initializer.append(numpy_helper.from_array(np.float32(-2), "low"))
    mul.input[1] = "low"


def scale_otherwise(graph: onnx.GraphProto) -> None:
    softmaxes = (node for node in graph.node if node.op_type == "Softmax")
    made_by = {node.output[0]: node for node in graph.node}
    graph.initializer.append(numpy_helper.from_array(np.float32(0.5), "half"))
    made_by[made_by[next(softmaxes).input[0]].input[0]].input[1] = "half"


@pytest.mark.parametrize(
    ("change", "fused"), [(swap_subtraction, 0), (weaken_mask, 0), (scale_otherwise, 1)]
)
def test_attention_that_means_something_else_is_not_fused(
    checkpoint: Checkpoint,
    raw: onnx.ModelProto,
    change: Callable[[onnx.GraphProto], None],
    fused: int,
) -> None:
    change(raw.graph)
    with pytest.raises(GraphError, match=f"got Attention {fused} of 2"):
        fuse(raw, checkpoint.shape)


def test_positions_that_do_not_count_from_zero_are_handed_to_the_embeddings(
    checkpoint: Checkpoint, raw: onnx.ModelProto
) -> None:
    (table,) = (t for t in raw.graph.initializer if t.name.endswith("position_ids"))
    backwards = numpy_helper.to_array(table)[:, ::-1].copy()
    straight = logits(fuse(raw, checkpoint.shape), padded())
    table.CopyFrom(numpy_helper.from_array(backwards, table.name))
    fused = fuse(raw, checkpoint.shape)
    (embed,) = (n for n in fused.graph.node if n.op_type == "EmbedLayerNormalization")
    assert len(embed.input) == 9  # the last is position_ids
    short = EncodedBatch(padded().input_ids[:1], padded().attention_mask[:1])  # they are (1, T)
    np.testing.assert_allclose(logits(fused, short), logits(raw, short), atol=1e-5)
    assert np.abs(logits(fused, short) - straight[:1]).max() > 0.01


def test_an_operator_newer_than_the_pinned_opset_is_refused() -> None:
    tensor = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    other = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Gelu", ["x"], ["y"])], "g", [tensor], [other])
    model = ir.from_proto(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]))
    message = r"as they are in opset 17, got newer \['Gelu'\]; use .* whose hidden_act is older"
    with pytest.raises(GraphError, match=message):
        _pin_versions(model)
