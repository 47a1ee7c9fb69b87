"""Tests what the judge makes of its record; no graph is tried here."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from export.config import ExportConfig
from export.judge import Judge, Trial
from export.source import Source
from serve.bundle import Precision
from serve.errors import ParityError


@pytest.fixture
def judge() -> Judge:
    source = cast("Source", SimpleNamespace(config=ExportConfig()))  # nothing else is asked for
    return Judge(source, Precision.INT8)


def test_the_best_graph_and_the_best_that_was_refused_are_found_among_all(judge: Judge) -> None:
    """The first of equals; one that passed has no refusal."""
    for method, f1, refusal in (
        ("passed", 0.9, None),
        ("worse", 0.6, "6"),
        ("best refused", 0.8, "8"),
        ("as good", 0.8, "also 8"),
        ("worst", 0.1, "1"),
    ):
        judge.trials.append(Trial(method, (), f1, refusal))
        judge.refusals += [ParityError(refusal)] if refusal else []
    assert judge.best_trial().method == "passed"
    assert str(judge.best_refusal()) == "8"
