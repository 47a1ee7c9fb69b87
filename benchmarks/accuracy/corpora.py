"""Owns the data that accuracy is measured on: its splits, draws of few lines, unlabelled text.

Each corpus is copied into a folder of JSON lines. It holds the test lines only for a run that is to
look at them, so that nothing chosen before can have seen them. Unlabelled text is freed of every
line that dev or test of any of the corpora holds.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path

from serve.examples import Example, write_jsonl
from serve.files import replacing
from train.config import TrainConfig
from train.corpus.data import read_corpus
from train.distillation.unlabelled import read_unlabelled

SHARED = Path("../shared/data")
PARTS = Path("build/accuracy/parts")
"""Where corpora without splits of their own are parted: `python -m train split`, seed 1."""


def _parted(name: str) -> TrainConfig:
    folder = PARTS / name
    return TrainConfig(
        train=folder / "train.jsonl", dev=folder / "dev.jsonl", test=folder / "test.jsonl"
    )


SOURCES = {
    "mwo2kg": TrainConfig(
        train=SHARED / "mwo2kg/train.txt",
        dev=SHARED / "mwo2kg/dev.txt",
        test=SHARED / "mwo2kg/test.txt",
        label_map=(("Observed_state", "Observation"), ("Event", "")),
    ),
    "maintie": _parted("maintie"),
    "wikigold": _parted("wikigold"),
    "wnut17": TrainConfig(
        train=SHARED / "wnut17/wnut17train.conll",
        dev=SHARED / "wnut17/emerging.dev.conll",
        test=SHARED / "wnut17/emerging.test.annotated",
    ),
}
"""How `train` is told to read each corpus."""
DOMAIN_TEXT = ("mwo2kg_texts", "maintie_texts", "maintnorm_raw")
TEXTS = Path("build/accuracy/texts")


def write_corpus(
    folder: Path, source: TrainConfig, num_lines: int | None, seed: int, *, test: bool
) -> None:
    """Write a corpus's splits into a folder, in place of what is there.

    Args:
        folder: Where to.
        source: The corpus.
        num_lines: Train lines to draw; None for all.
        seed: Of the draw.
        test: Whether the test lines go along.
    """
    corpus = read_corpus(source)
    train = corpus.train.examples
    if num_lines is not None:
        train = tuple(random.Random(seed).sample(train, num_lines))
    with replacing(folder) as staging:
        write_jsonl(staging / "train.jsonl", train)
        write_jsonl(staging / "dev.jsonl", corpus.dev.examples)
        if test and corpus.test:
            write_jsonl(staging / "test.jsonl", corpus.test.examples)


def domain_text(stem: str) -> Path:
    """Return where the cleaned copy of a file of domain text lies."""
    return TEXTS / f"{stem}.txt"


def write_domain_text() -> dict[Path, int]:
    """Write domain text without lines of dev or test; return how many each file held of them."""
    held = [example.text for source in SOURCES.values() for example in _held(source)]
    found: dict[Path, int] = {}
    TEXTS.mkdir(parents=True, exist_ok=True)
    for stem in DOMAIN_TEXT:
        files = [SHARED / "domain_text" / f"{stem}.txt"]
        lines = read_unlabelled(files, held=held, known=(), most=10**9, seed=1)
        text = "".join(f"{line}\n" for line in lines.texts)
        domain_text(stem).write_text(text, encoding="utf-8")
        found[domain_text(stem)] = lines.num_held
    return found


def _held(source: TrainConfig) -> Iterable[Example]:
    corpus = read_corpus(source)
    return (e for split in (corpus.dev, corpus.test) if split for e in split.examples)
