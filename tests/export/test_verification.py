"""Tests that a verification tells each way in which a bundle is not sound, in a line of its own."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from export.verification.finding import Check
from export.verification.verify import Signature, verify
from serve.bundle import Manifest, Precision, seal, sha256
from serve.errors import BundleError
from tests.serve.tiny import replace_file, tiny_graph, write_bundle

GRAPH = "model_fp32.onnx"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Return a fresh bundle of two graphs, for tests that damage it."""
    return write_bundle(tmp_path / "b", precisions=(Precision.FP32, Precision.INT8))


def only_finding(bundle: Path) -> str:
    """Return the one thing a verification finds, as a line."""
    (finding,) = verify(bundle).findings
    line = str(finding)
    assert "\n" not in line
    assert line.startswith(f"{finding.check}: {bundle}/"), "which check, and which file"
    return line


def reseal(bundle: Path, **changes: object) -> None:
    """Edit the manifest and renew its seal."""
    path = bundle / "manifest.json"
    manifest = Manifest.from_json(path.read_text())
    path.write_text(replace(manifest, **changes).to_json())


def reseal_graph(bundle: Path, **changes: object) -> None:
    """Edit what the manifest says of the first graph."""
    first, *rest = Manifest.from_json((bundle / "manifest.json").read_text()).graphs
    reseal(bundle, graphs=(replace(first, **changes), *rest))


def name_file(bundle: Path, name: str, content: bytes) -> None:
    """Write a file that the runtime does not read, and name it in the manifest."""
    files = Manifest.from_json((bundle / "manifest.json").read_text()).files
    (bundle / name).parent.mkdir(parents=True, exist_ok=True)
    (bundle / name).write_bytes(content)
    reseal(bundle, files={**files, name: sha256(content)})


def graph_with(change: Callable[[onnx.ModelProto], None]) -> bytes:
    """Return the tiny graph after a change."""
    model = onnx.load_from_string(tiny_graph())
    change(model)
    content: bytes = model.SerializeToString()
    return content


def make_external(tensor: TensorProto) -> None:
    """Move a tensor's values to a file outside."""
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")


def external_weight(model: onnx.ModelProto) -> None:
    make_external(model.graph.initializer[0])


def external_constant(model: onnx.ModelProto) -> None:
    """Put a constant whose values lie outside into a branch of an If, where few look."""
    constant = numpy_helper.from_array(np.zeros(1, np.float32), "hidden")
    make_external(constant)
    node = helper.make_node("Constant", [], ["unused"], value=constant)
    output = [helper.make_tensor_value_info("unused", TensorProto.FLOAT, [1])]
    branch = helper.make_graph([node], "branch", [], output)
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "yes"))
    model.graph.node.append(
        helper.make_node("If", ["yes"], ["chosen"], then_branch=branch, else_branch=branch)
    )


def unknown_operator(model: onnx.ModelProto) -> None:
    model.graph.node[0].op_type = "Gathered"


def not_finite(model: onnx.ModelProto) -> None:
    (head,) = [tensor for tensor in model.graph.initializer if tensor.name == "head"]
    values = np.full_like(numpy_helper.to_array(head), np.nan)
    head.CopyFrom(numpy_helper.from_array(values, "head"))


def two_of_three(model: onnx.ModelProto) -> None:
    """Let the graph score another number of tags than it declares."""
    (head,) = [tensor for tensor in model.graph.initializer if tensor.name == "head"]
    head.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(head)[:, :2], "head"))


def test_a_sound_bundle_has_no_findings(bundle: Path) -> None:
    verdict = verify(bundle)
    assert verdict.findings == ()
    assert verdict.is_sound
    assert verdict.signature is Signature.NONE
    assert verdict.manifest_sha256 == sha256((bundle / "manifest.json").read_bytes())


@pytest.mark.parametrize("name", ["labels.json", "tokenizer.json", GRAPH])
def test_a_file_of_which_one_byte_changed_is_told(bundle: Path, name: str) -> None:
    content = bytearray((bundle / name).read_bytes())
    content[len(content) // 2] ^= 1
    (bundle / name).write_bytes(content)
    assert f"files: {bundle / name}: expected SHA-256 " in only_finding(bundle)


@pytest.mark.parametrize("name", ["labels.json", "tokenizer.json", GRAPH])
def test_a_missing_file_is_told(bundle: Path, name: str) -> None:
    (bundle / name).unlink()
    expected = f"files: {bundle / name}: expected a readable file, got No such file or directory; "
    assert expected in only_finding(bundle)


def test_an_edited_manifest_is_told(bundle: Path) -> None:
    path = bundle / "manifest.json"
    path.write_text(path.read_text().replace('"pad_id": 0', '"pad_id": 1'))
    assert "manifest.json: expected SHA-256" in only_finding(bundle)
    assert "over its content" in only_finding(bundle)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sha256": "0" * 64}, f"files: .*/{GRAPH}: expected SHA-256 0{{64}}, got"),
        ({"size_bytes": 7}, f"files: .*/{GRAPH}: expected 7 bytes, got"),
        ({"opset": 18}, f"graph: .*/{GRAPH}: expected opset 18, as the manifest says, got 17"),
        (
            {"operators": {"Attention": 2, "MatMul": 1}},
            f"graph: .*/{GRAPH}: expected 2 nodes Attention, as the manifest says, got 0",
        ),
    ],
)
def test_a_claim_edited_under_a_new_seal_is_held_against_the_graph(
    bundle: Path, changes: dict[str, object], message: str
) -> None:
    reseal_graph(bundle, **changes)
    assert re.match(message, only_finding(bundle))


@pytest.mark.parametrize("name", ["../b/labels.json", "/etc/passwd", "a/../labels.json", "", "."])
def test_a_name_that_leads_elsewhere_is_told_and_not_followed(bundle: Path, name: str) -> None:
    body = json.loads((bundle / "manifest.json").read_text())
    del body["sha256"]
    body["files"][name] = "0" * 64
    (bundle / "manifest.json").write_text(json.dumps({**body, "sha256": seal(body)}))
    line = only_finding(bundle)
    assert line.startswith(f"manifest: {bundle}/manifest.json: ")
    assert "expected a file name" in line


def test_what_the_manifest_does_not_name_is_told(bundle: Path) -> None:
    name_file(bundle, "extra/named.txt", b"named")
    assert verify(bundle).is_sound
    (bundle / "notes.txt").write_text("mine")
    (bundle / "extra" / "more.txt").write_text("mine")
    (bundle / "empty").mkdir()
    told = [finding.message for finding in verify(bundle).findings]
    strangers = [bundle / "empty", bundle / "extra" / "more.txt", bundle / "notes.txt"]
    assert told == [
        f"{path}: expected only what the manifest names in a bundle, got one thing more; remove it"
        for path in strangers
    ]


def test_a_link_is_told_wherever_it_leads(bundle: Path, tmp_path: Path) -> None:
    (bundle / GRAPH).rename(tmp_path / GRAPH)
    (bundle / GRAPH).symlink_to(tmp_path / GRAPH)
    (bundle / "folder").symlink_to(tmp_path)
    (bundle / "nowhere").symlink_to(tmp_path / "none")
    name_file(bundle, "extra/named.txt", b"named")
    (bundle / "extra").rename(tmp_path / "extra")
    (bundle / "extra").symlink_to(tmp_path / "extra")
    told = [finding.message.partition("; ")[0] for finding in verify(bundle).findings]
    more = "only what the manifest names in a bundle, got one thing more"
    assert told == [
        f"{bundle / 'extra/named.txt'}: expected a file in the bundle, got one behind a link",
        f"{bundle / GRAPH}: expected a readable file, got a symbolic link",
        f"{bundle / 'extra'}: expected {more}",
        f"{bundle / 'folder'}: expected {more}",
        f"{bundle / 'nowhere'}: expected {more}",
    ]


def test_nothing_but_plain_files_is_opened(bundle: Path) -> None:
    (bundle / GRAPH).unlink()
    os.mkfifo(bundle / GRAPH)  # whoever opens it waits forever
    assert f"{GRAPH}: expected a readable file, got a folder, device or pipe" in only_finding(
        bundle
    )
    (bundle / "manifest.json").unlink()
    os.mkfifo(bundle / "manifest.json")
    with pytest.raises(
        BundleError, match=r"manifest\.json: expected a readable file, got a folder, dev"
    ):
        verify(bundle)


def test_a_folder_that_is_no_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"manifest\.json: expected a readable file, got No such"):
        verify(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (external_weight, "expected every weight in the file, got 'embedding' elsewhere"),
        (external_constant, "expected every weight in the file, got 'hidden' elsewhere"),
        (unknown_operator, "expected a graph that onnx.checker accepts, got No Op registered for"),
        (not_finite, "expected finite logits of shape (2, 19, 7), got NaN or infinite ones"),
        (two_of_three, "expected a graph that onnx.checker accepts, got [ShapeInferenceError]"),
    ],
)
def test_a_graph_that_the_manifest_vouches_for_is_examined(
    bundle: Path, change: Callable[[onnx.ModelProto], None], message: str
) -> None:
    replace_file(bundle, GRAPH, graph_with(change))
    assert f"graph: {bundle / GRAPH}: {message}" in only_finding(bundle)


def test_other_tensors_than_the_runtimes_are_told(bundle: Path) -> None:
    replace_file(bundle, GRAPH, tiny_graph(mask="mask"))
    assert f"{GRAPH}: expected the inputs [('input_ids', " in only_finding(bundle)


def test_what_is_no_graph_is_told(bundle: Path) -> None:
    replace_file(bundle, GRAPH, b"no graph")
    assert f"graph: {bundle / GRAPH}: expected an ONNX graph, got " in only_finding(bundle)


def test_labels_that_do_not_match_the_logits_are_told(bundle: Path) -> None:
    replace_file(bundle, GRAPH, tiny_graph(num_tags=5))
    expected = f"labels: {bundle}/labels.json: expected 5 tags, as many as {GRAPH}'s logits, got 7;"
    assert expected in only_finding(bundle)


def test_labels_and_tokenizers_are_read(bundle: Path) -> None:
    tokenizer = (bundle / "tokenizer.json").read_bytes()
    replace_file(bundle, "tokenizer.json", b"{}")
    assert verify(bundle).findings[0].check is Check.TOKENIZER
    replace_file(bundle, "tokenizer.json", tokenizer)
    replace_file(bundle, "labels.json", json.dumps({"tags": ["I-x"]}).encode())
    assert "labels.json: expected B-x beside I-x" in only_finding(bundle)


def test_graphs_for_other_runtimes_are_examined_too(bundle: Path) -> None:
    name_file(bundle, "tensorrt/model.onnx", tiny_graph(mask="mask"))
    assert verify(bundle).is_sound
    name_file(bundle, "tensorrt/model.onnx", graph_with(external_weight))
    assert "tensorrt/model.onnx: expected every weight in the file" in only_finding(bundle)
    name_file(bundle, "tensorrt/model.onnx", b"no graph")
    assert "tensorrt/model.onnx: expected an ONNX graph, got" in only_finding(bundle)
