"""Owns the file of runs: a row for each, appended when it ends, so that a curve can go on.

A row that a crash cut off is none, see `serve.rows`; one that was made with other lines, settings
or sizes is never mixed with new ones.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from serve.errors import DataError
from serve.rows import append_line, whole_lines


@dataclass(frozen=True, slots=True)
class Point:
    """What one run is of.

    Attributes:
        strategy: Name of the way to train.
        pick: How its lines were chosen.
        num_lines: Train lines.
        draw: Number of the draw, from 1; the seed, too.
    """

    strategy: str
    pick: str
    num_lines: int
    draw: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Run(Point):
    """One run that has ended.

    Attributes:
        num_words: Words of the train lines: what there was to read for who labelled them.
        num_spans: Spans of the train lines.
        dev_f1: Entity F1 on dev of the best epoch, which is chosen on dev, in [0, 1].
        test_f1: The same epoch's on test, where it was looked at.
        num_epochs: Epochs until training stopped.
        training_s: Seconds of training.
        next_rows: The train lines picked for the next size, as rows of the train file from 0.
        made_of: Identifies lines, settings and base model.
        trained_on: Identifies the train lines it saw, in their order: those of a size are others
            where picks went another way there.
        tested_on: Identifies the test lines of `test_f1`; None without.
    """

    num_words: int
    num_spans: int
    dev_f1: float
    test_f1: float | None
    num_epochs: int
    training_s: float
    next_rows: list[int]
    made_of: str
    trained_on: str
    tested_on: str | None

    @property
    def point(self) -> Point:
        """What the run is of."""
        return Point(self.strategy, self.pick, self.num_lines, self.draw)


class RunsFile:
    """The runs of one curve."""

    def __init__(self, path: Path, made_of: dict[str, str]) -> None:
        """Open the file, or begin one.

        Args:
            path: The file.
            made_of: What identifies lines, settings and base model, by strategy.

        Raises:
            DataError: If a row is none, or of other lines, settings or base model.
        """
        self._path = path
        self.runs: dict[Point, Run] = {}
        for number, line in enumerate(whole_lines(path), start=1):
            run = _parsed(f"{path}:{number}", line)
            if run.strategy in made_of and run.made_of != made_of[run.strategy]:
                raise DataError(
                    f"{path}:{number}: expected runs of {run.strategy!r} with the same lines, "
                    "settings and base model, got others; choose another --curve, or name the "
                    "strategy otherwise"
                )
            self.runs[run.point] = run

    def add(self, run: Run) -> None:
        """Append a run, onto the disk."""
        append_line(self._path, json.dumps(asdict(run)))
        self.runs[run.point] = run


def _parsed(place: str, line: str) -> Run:
    try:
        return Run(**json.loads(line))
    except (ValueError, TypeError) as error:
        raise DataError(
            f"{place}: expected a run of a curve, got {error}; choose another --curve"
        ) from error
