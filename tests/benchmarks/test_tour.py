"""The end of make run on a tiny model: a real Triton, every graph scored, latencies compared."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks import tour
from serve.entities import Entity
from serve.examples import Example, Span
from serve.repository import publish

TEXT = "replace oil pump"
ENTITIES = [Entity("Activity", 0, 7, 0.5), Entity("Item", 8, 16, 0.987654)]


@pytest.mark.triton
@pytest.mark.slow
def test_the_tour_shows_lines_scores_latencies_and_the_way_on(
    tiny_checkpoint: Path,
    bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    repository = tmp_path / "repository"
    publish(bundle, repository)
    monkeypatch.setattr(tour, "LATENCY_SECONDS", 0.0)
    monkeypatch.setattr(tour, "LATENCY_FILE", tmp_path / "latency.json")
    arguments = ["--checkpoint", str(tiny_checkpoint), "--bundle", str(bundle)]
    assert tour.main([*arguments, "--repository", str(repository)]) == 0
    shown = capsys.readouterr().out
    assert "Triton: tagger version 1, int8, CPUExecutionProvider" in shown
    assert "|Activity]" in shown
    for row in ("PyTorch", "model.onnx", "model_int8.onnx", "transformers pipeline"):
        assert f"\n{row} " in shown
    assert "linetag Triton" in shown
    assert "How to go on" in shown


def test_a_tour_without_a_checkpoint_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tour.main(["--checkpoint", str(tmp_path / "nope")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1


def test_short_lines_with_many_labels_come_first() -> None:
    plain = Example("nothing here", ())
    rich = Example("fix pump", (Span(0, 3, "Activity"), Span(4, 8, "Item")))
    long = Example("fix pump " * 20, rich.spans)
    assert tour.choose_lines([plain, long, rich]) == [rich.text, plain.text]
    assert tour.choose_lines([long]) == [long.text]


def test_the_table_has_a_row_for_each_entity() -> None:
    table = tour.entity_table(["", TEXT], [[], ENTITIES]).splitlines()
    assert table[0].split() == ["line", "label", "text", "span", "score"]
    assert table[1].split() == ["2", "Activity", "replace", "0-7", "0.500"]
    assert table[2].split() == ["2", "Item", "oil", "pump", "8-16", "0.988"]
    assert (
        len({line.index(cell) for line, cell in zip(table, ["score", "0.5", "0.9"], strict=True)})
        == 1
    )


def test_a_table_needs_the_entities_of_every_text() -> None:
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        tour.entity_table([TEXT, TEXT], [ENTITIES])


def test_the_table_cannot_steer_the_terminal() -> None:
    table = tour.entity_table(["a\x1b[2J"], [[Entity("\x07\u202e", 0, 5, 1.0)]])
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", table)
