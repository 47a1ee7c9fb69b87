"""Tests that a client's memory does not grow: at most 1 MB per 10,000 requests after warming up.

The server is a fake in a process of its own, so that its memory is not counted.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from serve.client import Policy, TritonTagger
from tests.serve.fake_triton import words
from tests.soak.conftest import ROOT, Soak

MB = 1_000_000
MOST_BYTES_PER_REQUEST = MB / 10_000
NUM_CALLERS = 4
PART = 1_000
SERVE = """
import sys
from tests.serve.fake_triton import fake_triton
with fake_triton() as url:
    print(url, flush=True)
    sys.stdin.read()
"""


@contextmanager
def far_away() -> Iterator[str]:
    """Serve in another process; yield the address."""
    command = [sys.executable, "-c", SERVE]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=ROOT) as process:
        assert process.stdout
        yield process.stdout.readline().strip()
        process.communicate()


def resident_bytes() -> int:
    """Return the memory that this process holds for itself."""
    rows = Path("/proc/self/status").read_text().splitlines()
    return next(int(row.split()[1]) * 1024 for row in rows if row.startswith("RssAnon:"))


def growth_bytes(tag: Callable[[int], object], *, warm_up: int, count: int) -> int:
    """Return how much memory grows over `count` requests, after others.

    Both go in parts of one size: what the pool holds for a part is not to look like growth.
    """
    with ThreadPoolExecutor(NUM_CALLERS) as pool:
        before = 0
        for start in range(0, warm_up + count, PART):
            if start == warm_up:
                before = resident_bytes()
            for _ in pool.map(tag, range(start, start + PART)):
                pass
        return resident_bytes() - before


def text_of(number: int) -> str:
    return f"replace pump {number} leaking hose " * (1 + number % 5)


@pytest.mark.parametrize("leak_bytes", [0, 1_000], ids=["client", "control that leaks"])
def test_the_memory_of_a_client_stays_and_a_leak_is_seen(leak_bytes: int, soak: Soak) -> None:
    count = soak.size(small=10_000, large=1_000_000)
    kept: list[bytes] = []
    with far_away() as url, TritonTagger(url, policy=Policy(deadline_s=30.0)) as client:

        def tag(number: int) -> None:
            text = text_of(number)
            assert client.tag([text]) == [words(text)]
            if leak_bytes:
                kept.append(bytes(leak_bytes))

        grown = growth_bytes(tag, warm_up=soak.size(small=3_000, large=30_000), count=count)
    if not leak_bytes:
        soak.record("client memory", num_requests=count, grown_mb=grown / MB)
    assert (grown <= MOST_BYTES_PER_REQUEST * count) is not bool(leak_bytes), (
        f"grew {grown / MB} MB"
    )
