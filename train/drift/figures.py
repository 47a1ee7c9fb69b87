"""Owns what is counted of each line, of its text and of what a tagger makes of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from serve.encoding import EncodedText, Encoder
from serve.examples import Example
from serve.tagger import Tagger
from serve.words import NO_WORD
from train.corpus.data import Split
from train.drift.measures import Column, Layout
from train.evaluation.answers import Answer
from train.evaluation.ask import ask

MAX_WORDS = 5000
"""Words that are counted by themselves, the most frequent ones; bounds the memory."""
_RARER = ""  # stands for all other words; no word is empty


@dataclass(frozen=True, slots=True)
class Known:
    """What the train lines have shown.

    Attributes:
        words: Their words, case folded.
        tokens: Token ids of their words.
        unknown: Token id of what the tokenizer has no token for; None where it has one for all.
    """

    words: frozenset[str]
    tokens: frozenset[int]
    unknown: int | None


def known_of(encoder: Encoder, texts: Sequence[str], unknown: int | None) -> Known:
    """Return what texts show."""
    encoded = encoder.encode(texts)
    pairs = list(zip(texts, encoded, strict=True))
    return Known(
        words=frozenset(word for text, e in pairs for word in words_of(text, e.offsets)),
        tokens=frozenset(token for e in encoded for token in tokens_of(e)),
        unknown=unknown,
    )


def words_of(text: str, offsets: Sequence[tuple[int, int]]) -> list[str]:
    """Return a text's words, case folded."""
    return [text[start:end].casefold() for start, end in offsets]


def tokens_of(encoded: EncodedText) -> list[int]:
    """Return a text's token ids without the special ones; of windows that overlap, of each."""
    return [
        token
        for window in encoded.windows
        for token, word in zip(window.input_ids, window.word_ids, strict=True)
        if word != NO_WORD
    ]


def layout_of(tagger: Tagger, texts: Sequence[str]) -> Layout:
    """Return the columns that texts need: the tagger's labels, and the most frequent words."""
    encoded = tagger.encoder.encode(texts)
    pairs = zip(texts, encoded, strict=True)
    counts = Counter(word for text, e in pairs for word in words_of(text, e.offsets))
    common = (word for word, _ in counts.most_common(MAX_WORDS))
    return Layout(tagger.tags.labels, (*common, _RARER))


def figures(
    tagger: Tagger, texts: Sequence[str], known: Known, layout: Layout
) -> NDArray[np.float64]:
    """Return the figures of each text. Shape: (lines, columns of the layout)."""
    places = tuple(str(number) for number in range(1, len(texts) + 1))
    split = Split(Path(), places, tuple(Example(text, ()) for text in texts))
    encoded = tagger.encoder.encode(texts)
    rows = np.zeros((len(texts), layout.word_columns.stop))
    label_place = {label: i for i, label in enumerate(layout.labels)}
    word_place = {word: i for i, word in enumerate(layout.words)}
    for row, answer, text in zip(rows, ask(tagger, split), encoded, strict=True):
        words = words_of(answer.text, answer.offsets)
        _count(row, answer, words, tokens_of(text), known)
        for entity in answer.entities:
            row[layout.label_columns][label_place[entity.label]] += 1
        for word in words:
            row[layout.word_columns][word_place.get(word, len(layout.words) - 1)] += 1
    return rows


def _count(
    row: NDArray[np.float64],
    answer: Answer,
    words: Sequence[str],
    tokens: Sequence[int],
    known: Known,
) -> None:
    row[Column.LINES] = 1
    row[Column.WORDS] = len(words)
    row[Column.UNSEEN_WORDS] = sum(word not in known.words for word in words)
    row[Column.TOKENS] = len(tokens)
    row[Column.UNSEEN_TOKENS] = sum(token not in known.tokens for token in tokens)
    row[Column.UNKNOWN_TOKENS] = sum(token == known.unknown for token in tokens)
    row[Column.SCORE] = sum(answer.scores)
    row[Column.ENTITIES] = len(answer.entities)
