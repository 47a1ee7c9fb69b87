"""Owns what the tests of faults and load share: their sizes, where large runs go, what they serve.

python -m pytest tests/soak            small: part of make test
python -m pytest tests/soak --large    large: writes benchmarks/results/soak/NAME.json
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from benchmarks.machine import describe_machine
from benchmarks.triton import TritonServer, start_triton
from serve.files import write_durably
from serve.repository import publish

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "soak"
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Soak:
    """How large the tests are, and where the figures of large ones go."""

    large: bool
    results: Path

    def size(self, *, small: int, large: int) -> int:
        """Return the count, or the seconds, for this run."""
        return large if self.large else small

    def record(self, name: str, **figures: object) -> None:
        """Write a large run's figures, JSON values, with the machine; a small run's are not kept.

        Call it before asserting: a run that failed is to be seen too. The name is the file's, with
        hyphens between its words.
        """
        if not self.large:
            return
        facts = {"format": FORMAT, "name": name, "machine": asdict(describe_machine())}
        body = {**facts, "figures": figures}
        self.results.mkdir(parents=True, exist_ok=True)
        path = self.results / f"{name.replace(' ', '-')}.json"
        write_durably(path, (json.dumps(body, indent=1) + "\n").encode())


@pytest.fixture(scope="session")
def soak(request: pytest.FixtureRequest) -> Soak:
    """Return the sizes of this run; `pytest --large` asks for the large ones."""
    return Soak(large=request.config.getoption("--large"), results=RESULTS)


@pytest.fixture
def repository(served_bundle: Path, tmp_path: Path) -> Path:
    """Return a fresh model repository with one version of that bundle."""
    publish(served_bundle, tmp_path / "repository")
    return tmp_path / "repository"


@pytest.fixture
def server(repository: Path, environment: Path) -> Iterator[TritonServer]:
    """Return a real Triton of the test's own, to do harm to."""
    with start_triton(repository, environment=environment) as running:
        yield running
