"""Owns what is measured: one experiment a row, each with the flags that make it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

NUM_TEACHERS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """One way to train a tagger.

    Attributes:
        name: Of the row.
        corpus: What it is trained and scored on.
        num_lines: Train lines; seeds that are equal in their last two digits train on the same
            draw. None for all.
        flags: Of `python -m train`.
        start: Checkpoint folder or experiment whose model it starts from; None for the default.
        teachers: The experiment whose models teach it, `NUM_TEACHERS` of them, trained on the same
            lines; None for plain training.
        unlabelled: Files of domain text, by stem, to be taught on.
    """

    name: str
    corpus: str
    num_lines: int | None = None
    flags: tuple[str, ...] = ()
    start: str | None = None
    teachers: str | None = None
    unlabelled: tuple[str, ...] = ()


def draw_of(seed: int) -> int:
    """Return which draw of few lines a seed trains on: its last two digits."""
    return seed % 100


def teacher_seeds(experiment: Experiment, seed: int) -> list[int]:
    """Return the seeds of a student's teachers: of its own draw, or 1, 2, 3 where all lines are."""
    if experiment.num_lines is None:
        return list(range(1, NUM_TEACHERS + 1))
    return [draw_of(seed) + 100 * k for k in range(NUM_TEACHERS)]


HIDDEN = ("--word-dropout", "0.1")
LONGER = ("--word-dropout", "0.15", "--learning-rate", "5e-4", "--epochs", "8")
SEARCHED = (
    *("--learning-rate", "0.0009241306909220752", "--batch-size", "16"),
    *("--word-dropout", "0.10193307539247735", "--label-smoothing", "0.08302425714844856"),
    *("--layer-decay", "0.720245908581173"),
)
"""The best of the search that `results/search` keeps."""

FEW = (50, 100, 250)
ADAPTED = "build/accuracy/adapted"
"""Where the adapted base model lies; the command that makes it is in this package's help."""


def _single() -> Iterator[Experiment]:
    """One model each, by ingredient."""
    for corpus in ("mwo2kg", "maintie", "wikigold", "wnut17"):
        yield Experiment(name=f"{corpus} plain", corpus=corpus)
        yield Experiment(name=f"{corpus} hidden words", corpus=corpus, flags=HIDDEN)
        yield Experiment(name=f"{corpus} hidden words, longer", corpus=corpus, flags=LONGER)
    yield Experiment(name="mwo2kg searched", corpus="mwo2kg", flags=SEARCHED)
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


def _distilled() -> Iterator[Experiment]:
    """Students of three teachers, on all lines and on few."""
    for few, teachers in ((250, "mwo2kg 250 plain"), (250, "mwo2kg 250 from maintie")):
        yield Experiment(
            name=f"{teachers}, distilled",
            corpus="mwo2kg",
            num_lines=few,
            start="maintie plain" if "maintie" in teachers else None,
            teachers=teachers,
            unlabelled=("mwo2kg_texts",),
        )
    for teachers in ("mwo2kg plain", "mwo2kg hidden words, longer"):
        yield Experiment(
            name=f"{teachers}, distilled",
            corpus="mwo2kg",
            teachers=teachers,
            unlabelled=("mwo2kg_texts", "maintie_texts"),
        )


def _adapted() -> Iterator[Experiment]:
    """Taggers from the adapted base by way of MaintIE, and students of three of them."""
    start = "maintie adapted"
    yield Experiment(name=start, corpus="maintie", flags=("--model", ADAPTED))
    for size, name in ((None, "mwo2kg adapted"), (250, "mwo2kg 250 adapted")):
        teachers = f"{name}, from maintie"
        yield Experiment(name=teachers, corpus="mwo2kg", num_lines=size, start=start)
        yield Experiment(
            name=f"{teachers}, distilled",
            corpus="mwo2kg",
            num_lines=size,
            start=start,
            teachers=teachers,
            unlabelled=("mwo2kg_texts", "maintie_texts"),
        )


_STRATEGIES = {
    "full": (),
    "adapted base": ("--model", ADAPTED),
    "head only": ("--method", "head", "--learning-rate", "1e-2", "--epochs", "10"),
    "top 2 layers": ("--freeze-layers", "4"),
    "layer decay 0.8": ("--layer-decay", "0.8"),
    "LoRA, rank 16": ("--method", "lora", "--learning-rate", "2e-3"),
    "SGD": ("--optimizer", "sgd", "--learning-rate", "0.1"),
    "cosine": ("--schedule", "cosine"),
    "weight decay 0.1": ("--weight-decay", "0.1"),
    "dropout 0.2": ("--dropout", "0.2"),
    "label smoothing 0.1": ("--label-smoothing", "0.1"),
    "class weights 0.5": ("--class-weights", "0.5"),
    "constrained": ("--decoder", "constrained"),
    "CRF": ("--decoder", "crf"),
    "all tokens": ("--label-all-tokens",),
}
"""Flags of each strategy beside the defaults; learning rates where the default suits it not."""


def _strategies() -> Iterator[Experiment]:
    """Ways of fine-tuning, one changed at a time."""
    for name, flags in _STRATEGIES.items():
        yield Experiment(name=f"strategy: {name}", corpus="mwo2kg", flags=flags)


STRATEGIES = tuple(experiment.name for experiment in _strategies())
EXPERIMENTS = {
    row.name: row
    for rows in (_single(), _transfer(), _distilled(), _adapted(), _strategies())
    for row in rows
}
"""By name; benchmarks/results/accuracy holds what each of them brought."""
