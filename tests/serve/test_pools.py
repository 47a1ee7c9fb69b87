"""Tests what a pool that takes no more work leaves to the calling thread."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from serve.pools import submitted


def test_what_a_pool_refuses_is_done_here() -> None:
    pool = ThreadPoolExecutor(1)
    here = threading.current_thread()
    assert submitted(pool, threading.current_thread).result() is not here
    pool.shutdown()
    assert submitted(pool, threading.current_thread).result() is here


def test_an_error_waits_for_its_turn_in_both() -> None:
    """Or the answers before it would be lost."""
    pool = ThreadPoolExecutor(1)
    for _ in range(2):
        future = submitted(pool, int, "no number")
        with pytest.raises(ValueError, match="no number"):
            future.result()
        pool.shutdown()
