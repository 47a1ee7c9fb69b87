"""What the report says of speed, on latencies whose meaning is known."""

from __future__ import annotations

import re
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from export.reports.html import _labels as label_table
from export.reports.latency import Cell, Latencies
from export.reports.report import Report, findings
from serve.bundle import Precision

QUIET = Latencies(threads=2, load=1.0, num_cores=2, cells=(), left_out={})


def graph(precision: Precision, file: str) -> Any:
    info = SimpleNamespace(
        file=file,
        precision=precision,
        f1_before=0.9,
        f1_after=0.89,
        f1_loss_interval_points=(0.5, 1.5),
        operators={"Gelu": 2},
        label_f1_loss_points={"Item": 1.2, "Activity": -1.0},
    )
    return SimpleNamespace(file=SimpleNamespace(info=info), trials=(1,), reasons={})


def said(latencies: Latencies) -> list[str]:
    graphs = [graph(Precision.FP32, "model.onnx"), graph(Precision.INT8, "model_int8.onnx")]
    return list(findings(Report(graphs, latencies)))


def cell(num_tokens: int, fp32_ms: float, int8_ms: float) -> Cell:
    return Cell(1, num_tokens, 5, {"model.onnx": fp32_ms, "model_int8.onnx": int8_ms})


@pytest.mark.parametrize(
    ("cells", "sentence"),
    [
        ((cell(8, 1.0, 1.2), cell(16, 2.0, 1.95)), "INT8 is not faster than FP32 on this machine"),
        (
            (cell(8, 1.0, 1.2), cell(16, 2.0, 1.0)),
            "INT8 is not faster than FP32 on this machine at 1 x 8 tokens",
        ),
        ((cell(8, 1.0, 0.5), Cell(1, 16, 0, {})), None),
        ((), None),
    ],
)
def test_int8_that_is_not_faster_is_said_to_be_so(
    cells: tuple[Cell, ...], sentence: str | None
) -> None:
    found = [line for line in said(replace(QUIET, cells=cells)) if line.startswith("INT8")]
    assert found == ([sentence] if sentence else [])


def test_latencies_of_a_busy_machine_are_not_vouched_for() -> None:
    assert not any("busy" in line for line in said(QUIET))
    assert any("load 6.0 on 2 cores" in line for line in said(replace(QUIET, load=6.0)))


def test_a_loss_is_told_with_its_interval_and_the_label_it_falls_on() -> None:
    assert said(QUIET)[0] == (
        "model.onnx loses 1.00 points of entity F1 (95 % of bootstrap samples: a loss of 0.50 to "
        "1.50); loses most on Item, 1.20"
    )


@pytest.mark.parametrize(("f1", "is_told"), [(0.01, True), (0.199, True), (0.2, False)])
def test_a_tagger_that_finds_next_to_nothing_is_not_vouched_for(f1: float, is_told: bool) -> None:
    weak = graph(Precision.FP32, "model.onnx")
    weak.file.info.f1_before = f1
    found = list(findings(Report([weak], QUIET)))
    assert found[0].startswith(f"PyTorch's own entity F1 is {100 * f1:.2f}") == is_told


def test_a_label_that_dev_lacks_has_no_figures() -> None:
    some = SimpleNamespace(num_gold=3, before=1.0, after=0.5, loss_points=50.0)
    none = SimpleNamespace(num_gold=0, before=0.0, after=0.0, loss_points=0.0)
    some.interval_points = none.interval_points = (0.0, 0.0)
    parity = SimpleNamespace(f1=SimpleNamespace(overall=some, by_label={"Time": none}))
    rows = label_table(SimpleNamespace(parity=parity))
    (time,) = re.findall("<tr><td>Time.*?</tr>", rows, re.DOTALL)
    assert "none in gold" in time
    assert not re.search(r"\d", time)
