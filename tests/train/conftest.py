"""Builds what several tests of train share."""

from __future__ import annotations

import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from serve.bundle import Manifest, sha256
from serve.examples import write_jsonl
from serve.labels import Tags
from tests.conftest import TINY_LABELS, tiny_lines
from tests.serve.tiny import write_bundle
from train.__main__ import main


@contextmanager
def _nothing_beyond_4_kib() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def full_disk() -> Callable[[], AbstractContextManager[None]]:
    """Return what lets no file grow beyond 4 KiB, as on a disk that is nearly full.

    A context, not the whole test: what pytest itself prints may go to a longer file.
    """
    return _nothing_beyond_4_kib


@pytest.fixture(scope="session")
def tiny_champion(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> Path:
    """Return a folder with a checkpoint that learnt a little, and a bundle that names it.

    The bundle's graph is another one: a refit asks the checkpoint, and exporting takes seconds.
    """
    folder = tmp_path_factory.mktemp("champion")
    for seed, (split, num) in enumerate({"train": 60, "dev": 30, "test": 60}.items(), 1):
        write_jsonl(folder / "data" / f"{split}.jsonl", tiny_lines(seed=seed, num_lines=num))
    with redirect_stdout(StringIO()):
        status = main([
            "--data", str(folder / "data"), "--model", str(tiny_base), "--epochs", "3",
            "--learning-rate", "1e-2", "--batch-size", "20", "--arithmetic", "fp32",
            "--output", str(folder / "checkpoint"),
        ])  # fmt: skip
    assert status == 0
    write_bundle(folder / "bundle", tags=Tags.from_labels(TINY_LABELS))
    vouch(folder / "bundle", folder / "checkpoint")
    return folder


def readapted(base: Path, copy: Path) -> Path:
    """Return a copy of a base model whose weights are others, as one adapted once more in place."""
    shutil.copytree(base, copy, dirs_exist_ok=True)
    weights = load_file(copy / "model.safetensors")
    moved = {name: tensor + 0.01 for name, tensor in weights.items()}
    save_file(moved, copy / "model.safetensors", metadata={"format": "pt"})
    return copy


def vouch(bundle: Path, checkpoint: Path) -> None:
    """Make a bundle's manifest say that it was exported from a checkpoint."""
    path = bundle / "manifest.json"
    manifest = Manifest.from_json(path.read_text())
    files = {"checkpoint_sha256": "model.safetensors", "config_sha256": "config.json"}
    hashes = {key: sha256((checkpoint / name).read_bytes()) for key, name in files.items()}
    source: dict[str, str | int] = {"checkpoint": checkpoint.name, **hashes}
    path.write_text(replace(manifest, source=source).to_json())
