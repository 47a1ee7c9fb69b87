"""Writes labelled pieces the way people do: shortened, mistyped, run together, shouted.

Every step takes pieces and returns pieces, and keeps their labels and order; offsets are only made
afterwards, in `train.sample.pieces.render`. Blanks go missing inside an entity or around added
punctuation, so that an entity still begins and ends on a word border.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from random import Random

from train.sample.lexicon import Pools
from train.sample.pieces import Piece

# Shares chosen by eye, to look like lines people type; not measured on any corpus.
_ABBREVIATED = 0.3
_MISTYPED = 0.28
_INNER_BLANK_LOST = 0.07
_PUNCTUATED = 0.14
_STRAY = 0.14
_WIDE_GAP = 0.05

_JOINTS = ("-", "-", "-", "/", ",", ":", "--", "..", ";")
_STRAYS = (".", ".", "..", "?", "??", "!", "!!", " -", "...", " ?", ",")
_KEY_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_CASES = ("lower",) * 11 + ("kept",) * 3 + ("first",) * 3 + ("upper",) * 3
_TYPABLE = re.compile(r"(?<!\w)[a-z]{4,}(?!\w)")


def add_noise(pieces: Sequence[Piece], abbreviations: Pools, rng: Random) -> list[Piece]:
    """Apply each kind of noise by its own chance.

    Args:
        pieces: A clean line.
        abbreviations: Shorter spellings of words and phrases.
        rng: Source of chance.

    Returns:
        The line's pieces in their order with their labels; unlabelled punctuation may be added.
    """
    noisy = [_abbreviate(piece, abbreviations, rng) for piece in pieces]
    noisy = [_join_words(piece, rng) for piece in noisy]
    if rng.random() < _MISTYPED:
        chosen = rng.randrange(len(noisy))
        noisy[chosen] = replace(noisy[chosen], text=mistype(noisy[chosen].text, rng))
    noisy = _change_case(noisy, rng)
    if rng.random() < _PUNCTUATED:
        noisy = _punctuate(noisy, rng)
    return _scatter(noisy, rng)


def mistype(text: str, rng: Random) -> str:
    """Make one slip in one word of four or more plain letters; others are left alone."""
    words = list(_TYPABLE.finditer(text))
    if not words:
        return text
    word = rng.choice(words)
    return text[: word.start()] + _slip(word.group(), rng) + text[word.end() :]


def _slip(word: str, rng: Random) -> str:
    at = rng.randrange(1, len(word) - 1)
    before, letter, following, rest = word[:at], word[at], word[at + 1], word[at + 2 :]
    kind = rng.choice(("swap", "drop", "double", "neighbour"))
    if kind == "swap":
        return before + following + letter + rest
    if kind == "drop":
        return before + following + rest
    if kind == "double":
        return before + letter + letter + following + rest
    return before + _neighbour(letter, rng) + following + rest


def _neighbour(letter: str, rng: Random) -> str:
    row = next(row for row in _KEY_ROWS if letter in row)
    at = row.index(letter)
    return rng.choice(row[max(at - 1, 0) : at] + row[at + 1 : at + 2])


def _abbreviate(piece: Piece, abbreviations: Pools, rng: Random) -> Piece:
    text = piece.text
    # Longest first, so that "left hand side" is not shortened as "left hand".
    for phrase in sorted(abbreviations, key=len, reverse=True):
        found = re.search(rf"(?<!\w){re.escape(phrase)}(?!\w)", text)
        if found and rng.random() < _ABBREVIATED:
            text = text[: found.start()] + rng.choice(abbreviations[phrase]) + text[found.end() :]
            break
    return replace(piece, text=text)


def _join_words(piece: Piece, rng: Random) -> Piece:
    if piece.label is None or rng.random() >= _INNER_BLANK_LOST:
        return piece
    return replace(piece, text=piece.text.replace(" ", rng.choice(("", "", "-")), 1))


def _change_case(pieces: Sequence[Piece], rng: Random) -> list[Piece]:
    case = rng.choice(_CASES)
    if case == "kept":
        return list(pieces)
    cased = [
        replace(piece, text=piece.text.upper() if case == "upper" else piece.text.lower())
        for piece in pieces
    ]
    if case == "first":
        cased[0] = replace(cased[0], text=cased[0].text[0].upper() + cased[0].text[1:])
    return cased


def _punctuate(pieces: Sequence[Piece], rng: Random) -> list[Piece]:
    places = [at for at in range(1, len(pieces)) if pieces[at].gap]
    if not places:
        return list(pieces)
    at = rng.choice(places)
    before, behind = rng.choice((("", ""), ("", ""), ("", " "), (" ", "")))
    joint = Piece(rng.choice(_JOINTS), None, before)
    return [*pieces[:at], joint, replace(pieces[at], gap=behind), *pieces[at + 1 :]]


def _scatter(pieces: Sequence[Piece], rng: Random) -> list[Piece]:
    scattered = list(pieces)
    if rng.random() < _WIDE_GAP and len(scattered) > 1:
        at = rng.randrange(1, len(scattered))
        scattered[at] = replace(scattered[at], gap=scattered[at].gap * 2)
    if rng.random() < _STRAY:
        stray = rng.choice(_STRAYS)
        scattered.append(Piece(stray.strip(), None, " " if stray.startswith(" ") else ""))
    return scattered
