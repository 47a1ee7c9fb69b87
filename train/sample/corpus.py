"""Draws the corpus's train and dev splits from the grammar and writes them.

No two lines of the splits are the same, letter case and blanks aside. Dev draws from the whole
lexicon, train from what is not withheld, each from its own seeded generator.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from random import Random

from serve.errors import DataError
from serve.examples import Example, fold, write_jsonl
from train.sample.grammar import draw_pieces
from train.sample.lexicon import HERE, Lexicon, load_lexicon
from train.sample.noise import add_noise
from train.sample.pieces import render

_TRAILING_BLANK = 0.05


@dataclass(frozen=True)
class SampleConfig:
    """What `python -m train.sample` writes.

    Attributes:
        output: Folder of train.jsonl and dev.jsonl.
        seed: Seed of the generators.
        num_train: Lines of train.jsonl.
        num_dev: Lines of dev.jsonl.
    """

    output: Path = HERE
    seed: int = 7
    num_train: int = 1800
    num_dev: int = 300


@dataclass(frozen=True, slots=True)
class Splits:
    """The two generated splits."""

    train: list[Example]
    dev: list[Example]


def draw_splits(config: SampleConfig) -> Splits:
    """Draw both splits; the same seed gives the same lines."""
    taken: set[str] = set()
    rng = Random(f"{config.seed} train")
    train = _draw_lines(load_lexicon(withhold=True), config.num_train, taken, rng)
    rng = Random(f"{config.seed} dev")
    dev = _draw_lines(load_lexicon(withhold=False), config.num_dev, taken, rng)
    return Splits(train, dev)


def write_splits(config: SampleConfig) -> Splits:
    """Draw both splits and write them as train.jsonl and dev.jsonl.

    Raises:
        DataError: If the folder cannot be written.
    """
    splits = draw_splits(config)
    try:
        config.output.mkdir(parents=True, exist_ok=True)
        write_jsonl(config.output / "train.jsonl", splits.train)
        write_jsonl(config.output / "dev.jsonl", splits.dev)
    except OSError as error:
        raise DataError(
            f"{config.output}: expected a folder that can be written, got {error.strerror}; "
            "choose another with --output"
        ) from error
    return splits


def draw_line(lexicon: Lexicon, rng: Random) -> Example:
    """Draw one noisy line."""
    pieces = add_noise(draw_pieces(lexicon, rng), lexicon.abbreviations, rng)
    trailing = rng.choice((" ", "  ")) if rng.random() < _TRAILING_BLANK else ""
    return render(pieces, trailing)


def _draw_lines(lexicon: Lexicon, num_lines: int, taken: set[str], rng: Random) -> list[Example]:
    lines: list[Example] = []
    while len(lines) < num_lines:
        line = draw_line(lexicon, rng)
        key = fold(line.text)
        if key not in taken:
            taken.add(key)
            lines.append(line)
    return lines
