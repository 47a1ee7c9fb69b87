"""Tests that a server's memory stays where it is, and that a leak would be seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.memory.curve import Curve, follow
from benchmarks.memory.group import group_bytes
from benchmarks.triton import start_triton
from serve.client import Policy, TritonTagger
from serve.repository import publish
from tests.serve.tiny import noisy_lines
from tests.soak.altered import publish_leaking
from tests.soak.conftest import Soak

pytestmark = pytest.mark.triton
MAX_MB_PER_10000 = 1.0
NUM_CALLERS = 8
LINES = noisy_lines(500, seed=4)


@contextmanager
def served(
    publisher: Callable[[Path, Path], object], bundle: Path, environment: Path, repository: Path
) -> Iterator[tuple[TritonTagger, int]]:
    """Yield a client of a server, and the server's process group."""
    publisher(bundle, repository)
    with (
        start_triton(repository, environment=environment) as server,
        TritonTagger(server.url, policy=Policy(deadline_s=10.0)) as client,
    ):
        yield client, server.state.pid


def curve_of(client: TritonTagger, process_group: int, num_requests: int) -> Curve:
    """Return the server's memory over requests of one line, from eight callers at once."""
    batches = (
        [LINES[(first + place) % len(LINES)] for place in range(NUM_CALLERS)]
        for first in range(0, num_requests, NUM_CALLERS)
    )
    with ThreadPoolExecutor(NUM_CALLERS) as pool:

        def tag(lines: Sequence[str]) -> None:
            list(pool.map(lambda line: client.tag([line]), lines))

        return follow("triton", tag, batches, lambda: group_bytes(process_group))


def growth_mb(curve: Curve) -> float:
    """Return the growth per 10,000 requests, in MB."""
    return 10 * curve.growth_mb  # which is per 1,000


def test_a_server_does_not_grow(
    served_bundle: Path, environment: Path, tmp_path: Path, soak: Soak
) -> None:
    num_requests = soak.size(small=30_000, large=1_000_000)
    with served(publish, served_bundle, environment, tmp_path / "repository") as (client, group):
        curve = curve_of(client, group, num_requests)
    step = max(1, len(curve.lines) // 1_000)
    soak.record(
        "server memory",
        growth_mb_per_10000_requests=growth_mb(curve),
        requests=curve.lines[::step],
        bytes=curve.bytes[::step],
    )
    assert curve.lines[-1] == num_requests
    assert growth_mb(curve) <= MAX_MB_PER_10000


def test_a_server_that_leaks_is_seen(
    served_bundle: Path, environment: Path, tmp_path: Path
) -> None:
    repository = tmp_path / "repository"
    with served(publish_leaking, served_bundle, environment, repository) as (client, group):
        assert growth_mb(curve_of(client, group, 4_000)) > 5 * MAX_MB_PER_10000
