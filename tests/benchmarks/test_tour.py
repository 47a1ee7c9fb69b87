"""The end of make run on a tiny model: a real Triton, every graph scored, latencies compared."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import tour
from serve.examples import Example, Span
from serve.repository import publish


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
