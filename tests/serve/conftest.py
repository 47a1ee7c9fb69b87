"""Starts what the tests of the runtime share: a tiny bundle, and one Triton for the session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.triton import TritonServer, start_triton
from serve.encoding import Encoder
from serve.repository import publish
from tests.serve.tiny import MAX_TOKENS, tiny_tokenizer, write_bundle


@pytest.fixture
def encoder() -> Encoder:
    """Return the tiny bundle's encoder."""
    return Encoder(tiny_tokenizer(), max_tokens=MAX_TOKENS, pad_id=0)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Return a fresh bundle, for tests that damage it."""
    return write_bundle(tmp_path / "bundle")


@pytest.fixture(scope="session")
def repository(served_bundle: Path) -> Path:
    """Return a model repository with one version, and what a publisher that died left there."""
    folder = served_bundle.parent / "repository"
    publish(served_bundle, folder)
    leftover = folder / "tagger" / ".staging-died"
    leftover.mkdir()
    (leftover / "model.py").write_text("raise SystemExit('Triton must not look here')")
    return folder


@pytest.fixture(scope="session")
def server(repository: Path, environment: Path) -> Iterator[TritonServer]:
    """Return a real Triton."""
    with start_triton(repository, environment=environment, http=True) as running:
        yield running
