"""Tests what a bundle has to be for it to become a version."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from serve.bundle import Manifest
from serve.errors import BundleError
from serve.versions.content import check_version, fill
from tests.serve.tiny import replace_file, tiny_graph


def test_a_bundle_that_was_changed_after_it_was_checked_is_refused(
    bundle: Path, tmp_path: Path
) -> None:
    digest = check_version(bundle)
    (tmp_path / "same").mkdir()
    fill(tmp_path / "same", bundle, digest, None)
    assert (tmp_path / "same" / "model.py").exists()
    replace_file(bundle, "model_fp32.onnx", tiny_graph(seed=1))  # sound, but another
    (tmp_path / "another").mkdir()
    with pytest.raises(BundleError, match="expected it to stay as it was checked; publish it"):
        fill(tmp_path / "another", bundle, digest, None)


def test_a_file_that_was_changed_after_it_was_checked_is_refused(
    bundle: Path, tmp_path: Path
) -> None:
    """The manifest is as it was."""
    digest = check_version(bundle)
    graph = bundle / "model_fp32.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"?")
    (tmp_path / "version").mkdir()
    with pytest.raises(BundleError, match="SHA-256"):
        fill(tmp_path / "version", bundle, digest, None)


@pytest.mark.parametrize("content", [b"no graph at all", tiny_graph(mask="token_type_ids")])
def test_a_graph_that_does_not_run_is_named_however_well_it_is_sealed(
    bundle: Path, content: bytes
) -> None:
    replace_file(bundle, "model_fp32.onnx", content)
    with pytest.raises(BundleError, match=r"model_fp32\.onnx: "):
        check_version(bundle)


def test_a_graph_that_fails_on_padding_only_is_refused(bundle: Path) -> None:
    path = bundle / "manifest.json"
    manifest = Manifest.from_json(path.read_text())
    path.write_text(replace(manifest, pad_id=10_000_000).to_json())
    with pytest.raises(BundleError, match=r"model_fp32\.onnx: expected input_ids .* to run, got"):
        check_version(bundle)
