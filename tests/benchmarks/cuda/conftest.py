"""Builds what the tests of the GPU benchmark share: a tiny tagger with random weights."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import onnx
import pytest

from benchmarks.cuda.parity import Yardstick
from benchmarks.cuda.subject import random_subject
from benchmarks.cuda.variants import Source, reference
from benchmarks.families import TINY
from serve.bundle import Provider


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return random_subject(TINY, (), tmp_path_factory.mktemp("random")).load()


@pytest.fixture(scope="session")
def yardstick(source: Source) -> Yardstick:
    engine = reference(source, Provider.CPU)
    return Yardstick(engine, max_tokens=64, vocabulary_size=TINY.vocabulary_size)


@pytest.fixture
def spoilt(source: Source) -> bytes:
    """Return the FP16 graph with the weights of one product turned round."""
    graph = deepcopy(source.fp16)
    weight = next(w for w in graph.graph.initializer if list(w.dims) == [32, 128])
    values = onnx.numpy_helper.to_array(weight)
    weight.CopyFrom(onnx.numpy_helper.from_array(-10 * values, weight.name))
    return graph.SerializeToString()


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    return tmp_path / "profile.json"
