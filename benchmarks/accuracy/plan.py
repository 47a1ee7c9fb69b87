"""Owns what is measured: one experiment a row, each with the flags that make it."""

from __future__ import annotations

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

EXPERIMENTS = {
    row.name: row
    for row in (
        Experiment(name="mwo2kg plain", corpus="mwo2kg"),
        Experiment(name="mwo2kg hidden words", corpus="mwo2kg", flags=HIDDEN),
        Experiment(name="mwo2kg hidden words, longer", corpus="mwo2kg", flags=LONGER),
        Experiment(name="maintie plain", corpus="maintie"),
        Experiment(name="maintie hidden words", corpus="maintie", flags=HIDDEN),
        Experiment(name="mwo2kg 250 plain", corpus="mwo2kg", num_lines=250),
        Experiment(name="mwo2kg 250 hidden words", corpus="mwo2kg", num_lines=250, flags=HIDDEN),
    )
}
"""By name; see benchmarks/results/accuracy for what each of them brought."""
