"""Draws the corpus's train and dev splits from the grammar.

No two lines of the splits are the same, letter case and blanks aside. Dev draws from the whole
lexicon, train from what is not withheld, each from its own seeded generator.
"""

from __future__ import annotations

from random import Random

from serve.examples import Example, fold
from train.sample.grammar import draw_pieces
from train.sample.lexicon import Lexicon, load_lexicon
from train.sample.noise import add_noise
from train.sample.pieces import render

NUM_TRAIN, NUM_DEV = 1800, 300
_TRAILING_BLANK = 0.05


def draw_splits(seed: int) -> tuple[list[Example], list[Example]]:
    """Draw the train and the dev split; the same seed gives the same lines."""
    taken: set[str] = set()
    train = _draw_lines(load_lexicon(withhold=True), NUM_TRAIN, taken, Random(f"{seed} train"))
    dev = _draw_lines(load_lexicon(withhold=False), NUM_DEV, taken, Random(f"{seed} dev"))
    return train, dev


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
