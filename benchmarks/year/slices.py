"""Owns the months of the simulated year: which lines of mwo2kg come when, and the poisoned ones.

The corpus has no dates and its order is no order of time, so a year is made of it: the train file's
order, with one change in the plant. Lines about the drilling end of the machine (`ARRIVING`) are
held back until month 8, as if that machine were bought then. Nobody saw them before, the held-out
test has them all year.

In the poisoned month every label is another one (each takes the name of the next), in its train,
dev and test lines alike, as when an export mixes up its columns.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from benchmarks.accuracy.corpora import SOURCES
from serve.examples import Example, Span, write_jsonl
from train.corpus.data import Corpus, read_corpus

LABELLED, BARE = "train.jsonl", "lines.txt"
MONTHS = 12
FIRST_LINES = 500
"""Lines of the first champion, before the year."""
ARRIVAL, POISONED = 8, 6
"""The month in which the machine is bought, and the one whose labels are mixed up."""
ARRIVING = re.compile(
    r"\b(mast|carousel|drill|rod|rods|breakout|wrench|jack|jacks|feed|rotary|deck|positioner)\b"
)


def corpus() -> Corpus:
    """Return mwo2kg with its stray labels merged."""
    return read_corpus(SOURCES["mwo2kg"])


def slices(lines: Sequence[Example]) -> list[list[Example]]:
    """Return the first champion's lines and those of each month, in the order of the year."""
    late = [line for line in lines if ARRIVING.search(line.text.lower())]
    early = [line for line in lines if not ARRIVING.search(line.text.lower())]
    months: list[list[Example]] = [early[:FIRST_LINES]]
    rest = early[FIRST_LINES:]
    size = (len(rest) + len(late)) / MONTHS
    share = len(late) / (MONTHS - ARRIVAL + 1)
    taken = taken_late = 0.0
    for month in range(1, MONTHS + 1):
        num_late = share if month >= ARRIVAL else 0.0
        num_early = size - num_late
        month_lines = rest[round(taken) : round(taken + num_early)]
        month_lines += late[round(taken_late) : round(taken_late + num_late)]
        months.append(month_lines)
        taken, taken_late = taken + num_early, taken_late + num_late
    return months


def poisoned(lines: Sequence[Example], labels: Sequence[str]) -> list[Example]:
    """Return lines in which each label has the name of the next."""
    following = dict(zip(labels, [*labels[1:], labels[0]], strict=True))
    return [
        Example(line.text, tuple(Span(s.start, s.end, following[s.label]) for s in line.spans))
        for line in lines
    ]


def write_slices(folder: Path) -> None:
    """Write each month's lines below a folder, with labels and as bare text."""
    whole = corpus()
    months = slices(whole.train.examples)
    for month, lines in enumerate(months):
        _write(folder / name_of(month), lines)
    wrong = poisoned(months[POISONED], whole.tags.labels)
    _write(folder / name_of(POISONED, is_poisoned=True), wrong)


def name_of(month: int, *, is_poisoned: bool = False) -> str:
    """Return the name of a month's folder."""
    return f"{month:02}-poisoned" if is_poisoned else f"{month:02}"


def _write(folder: Path, lines: Sequence[Example]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_jsonl(folder / LABELLED, lines)
    (folder / BARE).write_text("".join(f"{line.text}\n" for line in lines), encoding="utf-8")
