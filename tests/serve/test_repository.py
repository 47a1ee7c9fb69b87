"""Tests publishing: a version appears whole or not at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from serve.bundle import Bundle
from serve.decode.decoding import Decoding
from serve.errors import BundleError, ServerError
from serve.repository import publish, traffic_of, versions
from serve.tagger import Tagger
from serve.triton.config import config_texts
from tests.serve.tiny import replace_file


def tree(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_a_version_is_the_bundle_and_the_model(bundle: Path, tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    (bundle / "notes.txt").write_text("no part of the bundle")
    assert publish(bundle, repository) == 1
    (bundle / "notes.txt").unlink()
    version = tree(repository / "tagger" / "1")
    assert b"from serve.triton.model import TritonPythonModel" in version.pop("model.py")
    assert version.pop("__pycache__") == b"", "a file: Python can keep no cache in its place"
    assert version == tree(bundle)
    for name, text in config_texts().items():
        assert (repository / "tagger" / name).read_text() == text
    assert (repository / "tagger" / "1").stat().st_mode & 0o777 == 0o755
    assert Tagger.load(repository / "tagger" / "1").tag([""]) == [[]]


def test_settings_of_an_earlier_revision_are_written_anew_and_a_users_own_stay(
    bundle: Path, tmp_path: Path
) -> None:
    model, texts = tmp_path / "tagger", config_texts()
    tuned = {name: text.replace('"auto"', '"2"') for name, text in texts.items()}
    earlier = {name: text.replace("# Revision 1.\n", "") for name, text in tuned.items()}
    own = {name: text.partition("\n")[2] for name, text in earlier.items()}
    for before, after in ((tuned, tuned), (own, own), (earlier, texts)):
        for name, text in before.items():
            (model / name).parent.mkdir(parents=True, exist_ok=True)
            (model / name).write_text(text)
        publish(bundle, tmp_path)
        assert {name: (model / name).read_text() for name in texts} == after


def test_a_version_carries_its_decoding(bundle: Path, tmp_path: Path) -> None:
    decoding = Decoding(constrained=True)
    replace_file(bundle, "decoding.json", decoding.to_json().encode())
    publish(bundle, tmp_path / "repository")
    assert Bundle.load(tmp_path / "repository" / "tagger" / "1").decoding == decoding


def test_versions_count_up_and_never_reuse_a_number(bundle: Path, tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    (repository / "tagger" / "9").mkdir(parents=True)
    (repository / "tagger" / "not-a-version").mkdir()
    assert [publish(bundle, repository) for _ in range(2)] == [10, 11]
    assert versions(repository) == [11], "the newest serves, the two before are kept"
    assert traffic_of(repository).kept == (10, 9)
    assert versions(tmp_path / "none") == []


def test_a_plain_file_with_a_number_is_no_version_but_keeps_its_name(
    bundle: Path, tmp_path: Path
) -> None:
    (tmp_path / "tagger").mkdir()
    (tmp_path / "tagger" / "1").write_text("a file")
    assert versions(tmp_path) == []
    assert publish(bundle, tmp_path) == 2
    assert versions(tmp_path) == [2]


def test_a_configuration_that_is_there_is_kept(bundle: Path, tmp_path: Path) -> None:
    config = tmp_path / "repository" / "tagger" / "config.pbtxt"
    config.parent.mkdir(parents=True)
    config.write_text("# tuned by hand\n")
    publish(bundle, tmp_path / "repository")
    assert config.read_text() == "# tuned by hand\n"


@pytest.mark.parametrize(
    "name", ["manifest.json", "labels.json", "tokenizer.json", "model_fp32.onnx"]
)
def test_a_damaged_bundle_leaves_the_repository_as_it_was(
    bundle: Path, tmp_path: Path, name: str
) -> None:
    repository = tmp_path / "repository"
    publish(bundle, repository)
    before = tree(repository)
    (bundle / name).write_bytes((bundle / name).read_bytes()[:-3] + b"xyz")
    with pytest.raises(BundleError, match=rf"bundle/{name}: "):
        publish(bundle, repository)
    assert tree(repository) == before
    with pytest.raises(BundleError, match="bundle"):
        publish(bundle, tmp_path / "fresh")
    assert not (tmp_path / "fresh").exists()


def test_publishers_at_once_get_a_version_each(bundle: Path, tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    with ThreadPoolExecutor(8) as pool:
        published = list(pool.map(lambda _: publish(bundle, repository), range(16)))
    assert sorted(published) == list(range(1, 17))
    assert versions(repository) == [16]
    assert traffic_of(repository).kept == (15, 14)


def test_a_publisher_killed_half_way_leaves_nothing_triton_would_load(
    bundle: Path, tmp_path: Path
) -> None:
    repository = tmp_path / "repository"
    script = (
        "import os, signal, sys, pathlib, serve.repository as r, serve.files as f;"
        "f.sync = lambda path: os.kill(os.getpid(), signal.SIGKILL) if 'staging' in str(path)"
        " and path.name == 'model.py' else None;"
        "r.publish(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    command = [sys.executable, "-c", script, bundle, repository]
    assert subprocess.run(command, env=environment, check=False).returncode == -signal.SIGKILL
    assert [path.name for path in (repository / "tagger").glob(".staging-*")]
    assert versions(repository) == []
    assert publish(bundle, repository) == 1
    there = {path.name for path in (repository / "tagger").iterdir()}
    assert there == {"1", "config.pbtxt", "configs", "kept"}


def test_a_repository_that_cannot_be_written_is_named(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ServerError, match="file/tagger: expected a writable folder, got"):
        publish(bundle, tmp_path / "file")
