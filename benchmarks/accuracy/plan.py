"""Owns what is measured: one experiment a row, each with the flags that make it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

DOMAIN = "build/accuracy/domain.txt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """One way to train a tagger.

    Attributes:
        name: Of the row.
        corpus: What it is trained and scored on.
        num_lines: Train lines, drawn by the seed; None for all.
        flags: Of `python -m train`.
        start: Checkpoint folder or experiment whose model it starts from; None for the default.
        teachers: Experiments whose models, one of each seed, teach it; none for plain training.
        num_teachers: Seeds of the teachers, from 1; 0 for the run's own seed only.
        unlabelled: Files of unlabelled lines to be taught on.
    """

    name: str
    corpus: str
    num_lines: int | None = None
    flags: tuple[str, ...] = ()
    start: str | None = None
    teachers: tuple[str, ...] = ()
    num_teachers: int = 3
    unlabelled: tuple[str, ...] = ()


HIDDEN = ("--word-dropout", "0.1")
LONGER = ("--word-dropout", "0.15", "--learning-rate", "5e-4", "--epochs", "8")

FEW = (50, 100, 250)


def _single() -> Iterator[Experiment]:
    """One model each, by ingredient."""
    for corpus in ("mwo2kg", "maintie", "wikigold", "wnut17"):
        yield Experiment(name=f"{corpus} plain", corpus=corpus)
        yield Experiment(name=f"{corpus} hidden words", corpus=corpus, flags=HIDDEN)
        yield Experiment(name=f"{corpus} hidden words, longer", corpus=corpus, flags=LONGER)
    yield Experiment(name="mwo2kg 250 hidden words", corpus="mwo2kg", num_lines=250, flags=HIDDEN)


def _transfer() -> Iterator[Experiment]:
    """Taggers that start from the other domain's, beside those that start fresh."""
    for corpus, other in (("mwo2kg", "maintie"), ("maintie", "mwo2kg")):
        for few in FEW:
            yield Experiment(name=f"{corpus} {few} plain", corpus=corpus, num_lines=few)
        for size in (*FEW, None):
            yield Experiment(
                name=f"{corpus} {size or 'all'} from {other}",
                corpus=corpus,
                num_lines=size,
                start=f"{other} plain",
            )


EXPERIMENTS = {row.name: row for rows in (_single(), _transfer()) for row in rows}
"""By name; benchmarks/results/accuracy holds what each of them brought."""
