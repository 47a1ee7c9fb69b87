"""Tests that a verification looks on past what is not sound, and takes offence at no padding."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from export.verification.verify import verify
from serve.bundle import Precision
from serve.decode.decoding import Decoding
from tests.export.test_verification import GRAPH, graph_with, name_file, not_finite, only_finding
from tests.serve.tiny import replace_file, write_bundle


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "b", precisions=(Precision.FP32, Precision.INT8))


def then(model: onnx.ModelProto, *nodes: onnx.NodeProto) -> None:
    """Let nodes make the logits of what were the logits."""
    model.graph.node[-1].output[0] = "scores"
    model.graph.node.extend(nodes)


def infinite_padding(model: onnx.ModelProto) -> None:
    then(model, helper.make_node("Div", ["scores", "seen"], ["logits"]))


def first_token_only(model: onnx.ModelProto) -> None:
    for name, value in {"zero": 0, "one": 1}.items():
        tensor = numpy_helper.from_array(np.array([value]), name)
        model.graph.initializer.append(tensor)
    then(model, helper.make_node("Slice", ["scores", "zero", "one", "one"], ["logits"]))


def test_what_a_graph_scores_padding_with_is_no_fault(bundle: Path) -> None:
    replace_file(bundle, GRAPH, graph_with(infinite_padding))
    assert verify(bundle).findings == ()


def test_logits_of_another_shape_than_the_tokens_are_told(bundle: Path) -> None:
    replace_file(bundle, GRAPH, graph_with(first_token_only))
    told = "expected finite logits of shape (2, 19, 7), got finite ones of shape (2, 1, 7)"
    assert f"graph: {bundle / GRAPH}: {told}" in only_finding(bundle)


def test_a_graph_is_examined_though_another_file_is_damaged(bundle: Path) -> None:
    replace_file(bundle, "model_int8.onnx", graph_with(not_finite))
    (bundle / GRAPH).write_bytes(b"damaged")
    first, second = map(str, verify(bundle).findings)
    assert first.startswith(f"files: {bundle / GRAPH}: expected SHA-256 ")
    assert second.startswith(f"graph: {bundle / 'model_int8.onnx'}: expected finite logits")


@pytest.mark.parametrize("name", ["decoding.json", "tensorrt/model.onnx"])
def test_a_damaged_file_is_told_once_and_not_read(bundle: Path, name: str) -> None:
    content = {
        "decoding.json": Decoding(temperature=2.0).to_json().encode(),
        "tensorrt/model.onnx": (bundle / GRAPH).read_bytes(),
    }
    name_file(bundle, name, content[name])
    assert verify(bundle).is_sound
    (bundle / name).write_text("{}")
    assert f"files: {bundle / name}: expected SHA-256 " in only_finding(bundle)


def test_a_manifest_too_deep_to_read_is_told(bundle: Path) -> None:
    (bundle / "manifest.json").write_text("[" * 200_000)
    assert only_finding(bundle).startswith(f"manifest: {bundle / 'manifest.json'}: ")
