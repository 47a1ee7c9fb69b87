"""Keeps the tests of `python -m export` short."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import export.latency


@pytest.fixture(autouse=True, scope="session")
def _one_latency_cell() -> Iterator[None]:
    """Leave the report time for its first shape only."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export.latency, "BUDGET_S", 0.0)
        yield
