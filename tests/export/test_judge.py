"""Tests what the judge makes of its record; no graph is tried here."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import onnx
import pytest

from export.config import ExportConfig
from export.judge import Candidate, Judge, Trial
from export.parity import ParityReport
from export.source import Source
from serve.bootstrap import F1Change, F1Changes
from serve.bundle import Precision
from serve.running.lanes import Lanes
from tests.serve.tiny import tiny_graph


def compared(*, diff: float, agreement: float, **losses: float) -> ParityReport:
    """Return a report of one length; each loss, in all and of labels, is in F1, of 0.9."""
    changes = {k: F1Change(40, 0.9, 0.9 - loss, (-1.0, 1.0)) for k, loss in losses.items()}
    return ParityReport(
        max_abs_diff=diff,
        diff_by_length={8: diff},
        num_tokens=100,
        tag_agreement=agreement,
        f1=F1Changes(changes.pop("overall"), changes),
    )


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
    assert judge.best_trial().method == "passed"
    assert str(judge.best_refusal()) == "8"


def test_each_figure_is_the_worst_of_all_comparisons(
    judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stand-in that rounds to FP16 may be worse on one label and equal over all."""
    reports = [
        compared(diff=1e-5, agreement=1.0, overall=0.0, Item=0.01, Activity=0.0),
        compared(diff=2e-3, agreement=0.9, overall=0.0, Item=0.0, Activity=0.004, Event=0.002),
    ]
    monkeypatch.setattr(judge, "_reports", lambda _: iter(reports))
    gated = judge.passed(Candidate(onnx.ModelProto(), "cast"))
    assert gated is not None
    info = gated.file.info
    assert (info.max_abs_diff, info.tag_agreement, info.f1_after) == (2e-3, 0.9, 0.9)
    assert info.label_f1_loss_points == {
        "Activity": pytest.approx(0.4),
        "Event": pytest.approx(0.2),
        "Item": pytest.approx(1.0),
    }
    assert gated.parity.diff_by_length == {8: 2e-3}


@pytest.mark.parametrize("alone", [True, False])
def test_a_graph_is_compared_the_way_it_will_run(alone: bool) -> None:
    """Each text by itself where it must be, and those of INT8 on the lane of one thread, too."""
    ways: list[dict[str, object]] = []

    def compare(way: dict[str, object], backend: object) -> ParityReport:
        ways.append(way)
        return compared(diff=0.0, agreement=1.0, overall=0.0)

    parts = {
        "config": ExportConfig(),
        "checkpoint": SimpleNamespace(tagger=lambda backend, **way: way),
        "reference": SimpleNamespace(compare=compare),
    }
    source = cast("Source", SimpleNamespace(**parts))
    model = onnx.load_from_string(tiny_graph())
    assert Judge(source, Precision.INT8).passed(Candidate(model, "scales", alone=alone))
    (way,) = ways
    assert way["alone"] is alone
    assert isinstance(way["lanes"], Lanes)
