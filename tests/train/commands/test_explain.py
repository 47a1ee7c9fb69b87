"""`train explain`, on a model whose reason is known: one word alone decides another word's tag."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from serve.examples import Example, Span
from serve.labels import Tags
from tests.conftest import trained_tiny_model, write_tiny_model
from tests.pages import outside_links
from train.__main__ import main
from train.commands.explain import parse_args
from train.explanation.explain import rank_correlation

CUES = {"near": "Activity", "please": "Item"}
"""The last word's label hangs on which of these comes before it, wherever it stands."""


def _cued_lines() -> list[Example]:
    fillers = ("the", "is", "and", "at", "on")
    lines = []
    for number in range(300):
        words = [fillers[number % 5], fillers[number // 5 % 5], fillers[number // 25 % 5]]
        cue = ("near", "please")[number % 2]
        words[number // 2 % 3] = cue
        text = " ".join([*words, "engine"])
        lines.append(Example(text, (Span(len(text) - 6, len(text), CUES[cue]),)))
    return lines


@pytest.fixture(scope="module")
def cued(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the checkpoint of a model that has learnt the cues."""
    folder = tmp_path_factory.mktemp("explain") / "checkpoint"
    write_tiny_model(
        folder, trained_tiny_model(Tags.from_labels(set(CUES.values())), _cued_lines())
    )
    return folder


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    path = tmp_path / "lines.txt"
    path.write_text("at near on engine\nplease the is engine\n")
    return path


def test_the_page_is_there_when_the_reader_of_the_text_leaves_early(
    cued: Path, lines: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_: str) -> None:
        raise BrokenPipeError

    monkeypatch.setattr("train.commands.explain.deliver", gone)
    page = tmp_path / "why.html"
    assert main(["explain", str(cued), str(lines), "--html", str(page)]) == 1
    assert page.read_text().count("near") > 0


def test_the_word_that_decides_comes_out_on_top_by_both_methods(
    cued: Path, lines: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", str(cued), str(lines), "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["entities"][0]["entity"]["label"] for row in rows] == ["Activity", "Item"]
    for row, cue in zip(rows, ("near", "please"), strict=True):
        (why,) = row["entities"]
        others = [r for r in why["reasons"] if row["text"][r["start"] : r["end"]] != "engine"]
        for method in ("gradients", "occlusion"):
            best = max(others, key=lambda reason: reason[method])
            assert row["text"][best["start"] : best["end"]] == cue
            assert best[method] > 0
        total = sum(reason["gradients"] for reason in why["reasons"])
        change = why["odds"] - why["hidden_odds"]
        # Special tokens are the same in both lines, so the words share out all of the change.
        assert total == pytest.approx(change - why["completeness_error"], abs=1e-3)
        assert abs(why["completeness_error"]) < 0.1 * abs(change)
        assert -1 <= why["agreement"] <= 1


def test_the_text_and_the_page_show_the_words(
    cued: Path, lines: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "why.html"
    assert main(["explain", str(cued), str(lines), "--html", str(page)]) == 0
    out = capsys.readouterr().out
    assert "Activity 'engine'" in out
    assert "near +" in out
    assert re.search(r"; rank agreement (-?[01]\.\d\d|none)$", out, re.MULTILINE)
    html = page.read_text()
    assert html.count('class="why"') == 2
    assert outside_links(html) == []


def test_what_cannot_be_explained_is_told_in_one_line(
    cued: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", str(tmp_path), "x"]) == 1
    assert "expected a checkpoint, got no config.json" in capsys.readouterr().err
    assert main(["explain", str(cued), str(tmp_path / "nothing.txt")]) == 1
    assert "nothing.txt: expected a readable file" in capsys.readouterr().err


@pytest.mark.parametrize("line", ["c --json a b", "c a b --json", "--json c a b", "c a --json b"])
def test_flags_may_stand_before_behind_and_between_the_files(line: str) -> None:
    config = parse_args(line.split())
    assert (config.checkpoint, config.files, config.json) == (Path("c"), ("a", "b"), True)
    assert parse_args(["c", "--json"]).files == ("-",)


def test_orders_agree_as_spearman_says() -> None:
    assert rank_correlation([1, 2, 3], [10, 20, 900]) == pytest.approx(1)
    assert rank_correlation([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
    assert rank_correlation([1, 2, 2, 3], [1, 3, 2, 4]) == pytest.approx(0.9486833)
    assert rank_correlation([1, 2], [1, 2]) is None
    assert rank_correlation([1, 1, 1], [1, 2, 3]) is None
