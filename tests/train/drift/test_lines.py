"""Which lines are compared: lines of one source are as good as dealt, whatever recurs in it."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from serve.errors import DataError
from train.drift.chance import findings
from train.drift.lines import MAX_LINES, Compared, compared, once
from train.drift.measures import Direction, Measure

ENTITIES = Measure("entities a line", Direction.EITHER, lambda sums: sums[:, 1] / sums[:, 0])


def sets(folder: Path, train: list[str], held: list[str], new: list[str]) -> Compared:
    path = folder / "new.txt"
    path.write_text("".join(f"{text}\n" for text in new))
    return compared(once(held, train), train, [path])


def texts(draw: random.Random, num: int) -> list[str]:
    """Return lines of one source: half recur, the commonest often, and have a single entity."""
    common = draw.choices(range(400), [(i + 1) ** -0.5 for i in range(400)], k=num)
    longer = (f"{draw.randrange(10**9)} with {draw.choice((2, 3, 4))}" for _ in range(num))
    return [f"{c} with 1" if draw.random() < 0.5 else next(longer) for c in common]


def entities(lines: list[str]) -> NDArray[np.float64]:
    return np.array([[1.0, float(line.split()[-1])] for line in lines])


@pytest.mark.parametrize("content", ["", "\n \n"])
def test_a_file_without_a_line_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "new.txt").write_text(content)
    with pytest.raises(DataError, match=r"new\.txt: expected lines of text, got none"):
        compared({}, [], [tmp_path / "new.txt"])


def test_lines_that_recur_are_not_taken_for_drift(tmp_path: Path) -> None:
    alarms = 0
    for seed in range(40):
        draw = random.Random(seed)
        parts = sets(tmp_path, *(texts(draw, num) for num in (500, 400, 1200)))
        lines = np.concatenate([entities(parts.held), entities(parts.new)])
        alarms += findings(lines, len(parts.held), (ENTITIES,))[0].is_drift
    assert alarms <= 3  # 0.4 expected


def test_texts_of_both_sets_say_nothing_and_are_counted(tmp_path: Path) -> None:
    parts = sets(
        tmp_path,
        train=["Check pump"],
        held=["check PUMP!", "grease bearing", "weld  frame", "weld frame", "..."],
        new=["check pump", "Weld frame.", "weld frame", "new tyre", "new tyre", "---"],
    )
    assert parts == Compared(held=["grease bearing"], new=["new tyre"], num_known=4, num_again=1)


def test_no_more_lines_are_compared_than_there_is_time_for(tmp_path: Path) -> None:
    new = [f"line {i}" for i in range(MAX_LINES + 9)]
    parts = sets(tmp_path, [], [f"old {i}" for i in range(MAX_LINES + 1)], new)
    assert (len(parts.held), len(parts.new)) == (MAX_LINES, MAX_LINES)
    assert set(parts.new) < set(new)
