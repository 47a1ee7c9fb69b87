"""Owns the pieces a sample line is made of, and how they become a text with spans.

A line stays a list of labelled pieces until the very end: noise rewrites pieces, never offsets, so
a span cannot slip. A span's borders are borders of words: letters, digits and underscores together,
or any other character alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from serve.examples import Example, Span


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of text with one label or none.

    Attributes:
        text: The characters; no blank at either border.
        label: Entity type, None outside entities.
        gap: What stands between this piece and the one before it.
    """

    text: str
    label: str | None = None
    gap: str = " "


def render(pieces: Sequence[Piece], trailing: str = "") -> Example:
    """Write the pieces one after the other and note where the labelled ones lie.

    Args:
        pieces: The line's pieces, in order; the first one's gap is not written.
        trailing: Characters after the last piece, for instance blanks.

    Raises:
        ValueError: If a piece begins or ends with a blank or inside a word.
    """
    text = ""
    spans = []
    for piece in pieces:
        if not piece.text or piece.text != piece.text.strip():
            raise ValueError(f"expected a piece without blanks around it, got {piece.text!r}")
        text += piece.gap if text else ""
        if text and is_word(text[-1]) and is_word(piece.text[0]):
            raise ValueError(f"expected a border between words, got {text!r} + {piece.text!r}")
        if piece.label is not None:
            spans.append(Span(len(text), len(text) + len(piece.text), piece.label))
        text += piece.text
    return Example(text + trailing, tuple(spans))


def is_word(character: str) -> bool:
    """Whether the character is a letter, a digit or an underscore."""
    return re.match(r"\w", character) is not None
