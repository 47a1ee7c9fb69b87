"""Tests that a bundle that is not what its manifest says is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from serve.bundle import Bundle, Manifest, Precision, Provider, seal
from serve.decode.decoding import Decoding
from serve.errors import BundleError
from tests.serve.tiny import TAGS, replace_file, write_bundle


def tamper(bundle: Path, key: str, value: object, *, sealed: bool) -> None:
    """Change the manifest, with or without renewing its seal."""
    path = bundle / "manifest.json"
    body = json.loads(path.read_text())
    digest = body.pop("sha256")
    body[key] = value
    path.write_text(json.dumps({**body, "sha256": seal(body) if sealed else digest}))


def test_a_sound_bundle_opens(bundle: Path) -> None:
    loaded = Bundle.load(bundle)
    graph = loaded.graph(Precision.FP32)
    assert loaded.tags == TAGS
    assert graph.provider is Provider.CPU
    assert loaded.read_graph(graph) == (bundle / graph.file).read_bytes()
    assert loaded.encoder().max_tokens == loaded.manifest.max_tokens


def test_a_manifest_survives_its_json(bundle: Path) -> None:
    manifest = Bundle.load(bundle).manifest
    assert Manifest.from_json(manifest.to_json()) == manifest


@pytest.mark.parametrize("name", ["manifest.json", "labels.json", "tokenizer.json"])
def test_a_missing_file_is_named(bundle: Path, name: str) -> None:
    (bundle / name).unlink()
    with pytest.raises(BundleError, match=rf"{name}: expected a readable file, got No such file"):
        Bundle.load(bundle).encoder()


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"none/manifest\.json: .* export again"):
        Bundle.load(tmp_path / "none")


@pytest.mark.parametrize("name", ["labels.json", "tokenizer.json", "model_fp32.onnx"])
def test_a_file_of_which_one_byte_changed_is_refused(bundle: Path, name: str) -> None:
    content = bytearray((bundle / name).read_bytes())
    content[len(content) // 2] ^= 1
    (bundle / name).write_bytes(content)
    with pytest.raises(BundleError, match=rf"{name}: expected SHA-256 [0-9a-f]{{64}}, got"):
        _open_all(bundle)


def test_an_edited_manifest_breaks_its_seal(bundle: Path) -> None:
    tamper(bundle, "max_tokens", 4096, sealed=False)
    message = r"manifest\.json: expected SHA-256 \w+ over its content, got \w+; export again"
    with pytest.raises(BundleError, match=message):
        Bundle.load(bundle)


def test_a_manifest_without_a_seal_is_refused(bundle: Path) -> None:
    path = bundle / "manifest.json"
    body = json.loads(path.read_text())
    del body["sha256"]
    path.write_text(json.dumps(body))
    with pytest.raises(BundleError, match="expected SHA-256 None over its content"):
        Bundle.load(bundle)


def test_a_digest_edited_under_a_new_seal_still_shows(bundle: Path) -> None:
    tamper(bundle, "files", {"labels.json": "0" * 64, "tokenizer.json": "0" * 64}, sealed=True)
    with pytest.raises(BundleError, match=r"labels\.json: expected SHA-256 0{64}, got"):
        Bundle.load(bundle)


def test_a_file_the_manifest_does_not_know_is_refused(bundle: Path) -> None:
    tamper(bundle, "files", {}, sealed=True)
    with pytest.raises(BundleError, match=r"labels\.json: expected SHA-256 None, got"):
        Bundle.load(bundle)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("format", 1, "expected a manifest of format 2, got 1; export again"),
        ("format", "2", "expected a manifest of format 2, got '2'; export again"),
        ("format", 3, r"format 2, got 3 \(upgrade linetag to read it\); export again"),
        ("unknown", 1, "expected a manifest of format 2: .*unknown"),
        ("graphs", [{"file": "x"}], "expected a manifest of format 2: .*'precision'.* are missing"),
        ("graphs", 3, "expected graphs to be .*, got 3"),
        ("graphs", [], "expected graphs, got none"),
        ("graphs", {}, "expected graphs to be .*, got {}"),
        ("graphs", ["x"], "expected an object, got 'x'"),
        ("graphs", [None], "expected an object, got None"),
        ("files", [], r"expected files to be .*, got \[\]"),
        ("files", None, "expected files to be .*, got None"),
        ("files", {"labels.json": 1}, "expected files to be str, got 1"),
        ("source", {"lines": 1.5}, "expected source to be .*, got 1.5"),
        ("versions", "x", "expected versions to be .*, got 'x'"),
        ("pad_id", "x", "expected pad_id to be int, got 'x'"),
        ("pad_id", True, "expected pad_id to be int, got True"),
        ("pad_id", -1, "expected a pad_id of 0 or more, got -1"),
        ("max_tokens", 10**6, "expected max_tokens from 8 to 20000, got 1000000"),
        ("max_tokens", -5, "expected max_tokens from 8 to 20000, got -5"),
        ("max_tokens", None, "expected max_tokens to be int, got None"),
    ],
)
def test_a_manifest_of_another_form_is_refused(
    bundle: Path, key: str, value: object, message: str
) -> None:
    tamper(bundle, key, value, sealed=True)
    with pytest.raises(BundleError, match=message):
        Bundle.load(bundle)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("file", 3, "expected file to be str, got 3"),
        ("file", "a\0b", r"expected a file name of 1 to 64 letters, .* got 'a\\x00b'"),
        ("file", "model.py", r"expected a graph's name to end in \.onnx, got 'model\.py'"),
        ("precision", "fp8", "'fp8' is not a valid Precision"),
        ("provider", [], r"\[\] is not a valid Provider"),
        ("f1_after", "1", "expected f1_after to be float, got '1'"),
        ("operators", {"Attention": None}, "expected operators to be int, got None"),
    ],
)
def test_a_graph_of_another_form_is_refused(
    bundle: Path, key: str, value: object, message: str
) -> None:
    graph = json.loads((bundle / "manifest.json").read_text())["graphs"][0]
    tamper(bundle, "graphs", [{**graph, key: value}], sealed=True)
    with pytest.raises(BundleError, match=message) as caught:
        Bundle.load(bundle)
    assert "\n" not in str(caught.value)


def test_whole_numbers_do_for_shares(bundle: Path) -> None:
    graph = json.loads((bundle / "manifest.json").read_text())["graphs"][0]
    tamper(bundle, "graphs", [{**graph, "f1_after": 1}], sealed=True)
    assert Bundle.load(bundle).manifest.graphs[0].f1_after == 1


DEEP = "[" * 200_000


@pytest.mark.parametrize("content", ["", "[]", "null", "{", '"text"', DEEP])
def test_what_is_no_manifest_is_refused(bundle: Path, content: str) -> None:
    (bundle / "manifest.json").write_text(content)
    with pytest.raises(BundleError, match=r"manifest\.json: .*export again"):
        Bundle.load(bundle)


def test_a_graph_outside_the_bundle_is_refused(bundle: Path) -> None:
    graph = json.loads((bundle / "manifest.json").read_text())["graphs"][0]
    tamper(bundle, "graphs", [{**graph, "file": "../model.onnx"}], sealed=True)
    with pytest.raises(BundleError, match=r"expected a file name of .* got '\.\./model\.onnx'"):
        Bundle.load(bundle)


def test_labels_that_are_no_tags_are_refused(bundle: Path) -> None:
    replace_file(bundle, "labels.json", b'{"tags": ["O", "I-x"]}')
    with pytest.raises(BundleError, match=r"labels\.json: expected B-x beside I-x"):
        Bundle.load(bundle)
    for content in ("[]", DEEP):
        replace_file(bundle, "labels.json", content.encode())
        with pytest.raises(BundleError, match=r"labels\.json: "):
            Bundle.load(bundle)


def test_what_is_no_tokenizer_is_refused(bundle: Path) -> None:
    replace_file(bundle, "tokenizer.json", b"{}")
    with pytest.raises(BundleError, match=r"tokenizer\.json: expected a tokenizer, got"):
        Bundle.load(bundle).encoder()


def test_a_precision_that_was_not_exported_is_named(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "b", precisions=(Precision.FP32, Precision.INT8))
    message = "expected a graph in fp16, got fp32, int8; export with --fp16"
    with pytest.raises(BundleError, match=message):
        Bundle.load(folder).graph(Precision.FP16)


def _open_all(folder: Path) -> None:
    bundle = Bundle.load(folder)
    bundle.encoder()
    for graph in bundle.manifest.graphs:
        bundle.read_graph(graph)


def test_a_decoding_that_the_manifest_names_is_read(bundle: Path) -> None:
    assert Bundle.load(bundle).decoding == Decoding()
    decoding = Decoding(temperature=1.5, constrained=True)
    replace_file(bundle, "decoding.json", decoding.to_json().encode())
    assert Bundle.load(bundle).decoding == decoding


def test_a_decoding_that_the_manifest_does_not_name_is_not_read(bundle: Path) -> None:
    (bundle / "decoding.json").write_text("no decoding")
    assert Bundle.load(bundle).decoding == Decoding()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "decoding.json: Expecting property name"),
        (b"[" * 100_000, "decoding.json: .* export again"),
        (
            Decoding(transitions=((0.0,),), start=(0.0,), end=(0.0,)).to_json().encode(),
            "decoding.json: expected transitions between 7 tags, got 1; export again",
        ),
    ],
)
def test_a_decoding_that_cannot_be_used_is_refused(
    bundle: Path, content: bytes, message: str
) -> None:
    replace_file(bundle, "decoding.json", content)
    with pytest.raises(BundleError, match=message):
        Bundle.load(bundle)


def test_a_changed_or_missing_decoding_is_refused(bundle: Path) -> None:
    replace_file(bundle, "decoding.json", Decoding().to_json().encode())
    (bundle / "decoding.json").write_text(Decoding(constrained=True).to_json())
    with pytest.raises(BundleError, match=r"decoding\.json: expected SHA-256"):
        Bundle.load(bundle)
    (bundle / "decoding.json").unlink()
    with pytest.raises(BundleError, match=r"decoding\.json: expected a readable file"):
        Bundle.load(bundle)
