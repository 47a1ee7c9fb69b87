"""Owns the way from the logits of words to their tags and the tags' probabilities.

Plain decoding takes each word's largest logit. Constrained decoding takes the best sequence in
which every I-tag goes on with an entity of its label; where each word's largest logit obeys anyway,
that is the best sequence, so most texts cost no more than the check. A linear-chain CRF is decoded
whole, and its scores are marginals: the probability of a tag over all sequences.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from math import exp
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from serve.decode.chain import best_chains, marginals
from serve.decode.decoding import Decoding
from serve.labels import OUTSIDE, Tags

_FEW_WORDS = 32
"""Most words that are read in a loop. Warm, numpy is quicker from 8 words on (21 tags, Zen 4); with
cold caches its calls cost a line 58 us more, as long as the loop takes for some 30 words."""
_MAX_CELLS = 1 << 20
"""Most numbers of a table over the chains that go through together; 8 MB."""


class Decoded(NamedTuple):
    """Tags of words, one text after the other.

    Attributes:
        tag_ids: Shape: (W,)
        scores: Probability of each tag, in [0, 1]. Shape: (W,)
    """

    tag_ids: list[int]
    scores: list[float]


class Decoder:
    """Reads logits as one model's decoding says. Several threads may call it at once."""

    def __init__(self, tags: Tags, decoding: Decoding) -> None:
        """Take a decoding for these tags."""
        num_tags = len(tags)
        self._num_tags = num_tags
        self._decoding = decoding
        self._outside = tags.id_of(OUTSIDE)
        allowed = allowed_transitions(tags)
        self._may_follow: list[list[bool]] = allowed.tolist()
        none = np.zeros((num_tags, num_tags))
        self._transitions = np.array(decoding.transitions or none, dtype=np.float64)
        self._start = np.array(decoding.start or none[0], dtype=np.float64)
        self._end = np.array(decoding.end or none[0], dtype=np.float64)
        if decoding.constrained:
            self._transitions[~allowed] = -np.inf
            self._start[~allowed[self._outside]] = -np.inf  # a text begins as after an O

    def decode(self, logits: NDArray[np.float32], num_words: Sequence[int]) -> Decoded:
        """Return the tag of each word and its probability.

        Args:
            logits: Of all texts' words, one text after the other. Shape: (W, L)
            num_words: Number of each text's words; they add up to W. Shape: (N,)
        """
        tag_ids, scores = best_tags(logits, self._decoding.temperature)
        wanted = self._unsettled(tag_ids, num_words)
        if any(wanted):
            lengths = np.array(num_words, dtype=np.int64)
            for words, chain_lengths in _chains(lengths, np.array(wanted), self._num_tags):
                seen = np.arange(words.shape[1]) < chain_lengths[:, None]
                tags, chances = self._decode_chains(logits[words].astype(np.float64), chain_lengths)
                # Rounded: what shares a batch changes the last digits of float64.
                found = (words[seen], tags[seen], chances[seen].astype(np.float32))
                for word, tag, chance in zip(*(part.tolist() for part in found), strict=True):
                    tag_ids[word], scores[word] = tag, chance
        return Decoded(tag_ids, scores)

    def _unsettled(self, tag_ids: Sequence[int], num_words: Sequence[int]) -> list[bool]:
        """Return for each text whether the largest logits may not be its best tags."""
        if self._decoding.is_crf:
            return [length > 0 for length in num_words]
        if not self._decoding.constrained:
            return []
        words = iter(tag_ids)
        return [self._is_broken(islice(words, length)) for length in num_words]

    def _is_broken(self, tag_ids: Iterable[int]) -> bool:
        """Return whether in a text an I-tag goes on with nothing; reads all of the tags."""
        before, broken = self._outside, False
        for tag in tag_ids:
            broken |= not self._may_follow[before][tag]
            before = tag
        return broken

    def _decode_chains(
        self, logits: NDArray[np.float64], lengths: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the best tags of chains and their probabilities. Shape: (N, W, L) to (N, W)."""
        potentials = logits.copy()
        potentials[:, 0] += self._start
        potentials[np.arange(len(lengths)), lengths - 1] += self._end
        tags = best_chains(potentials, lengths, self._transitions)
        temperature = self._decoding.temperature
        if self._decoding.is_crf:
            chances = marginals(potentials / temperature, lengths, self._transitions / temperature)
        else:
            weights = np.exp((logits - logits.max(axis=2, keepdims=True)) / temperature)
            chances = weights / weights.sum(axis=2, keepdims=True)
        return tags, np.take_along_axis(chances, tags[..., None], axis=2)[..., 0]


def best_tags(logits: NDArray[np.float32], temperature: float = 1.0) -> Decoded:
    """Return the largest logit of each row and its softmax probability. Shape of logits: (W, L).

    Probabilities are rounded to FP32, as those of chains are: their last digits depend on the way
    they were computed, and a line's answer shall not depend on how many others come with it.
    """
    if len(logits) > _FEW_WORDS:
        return _best_of_many(logits.astype(np.float64), temperature)
    # A loop, not numpy, whose calls a single line would wait for, see benchmarks/README.md.
    tag_ids: list[int] = []
    scores = array("f")
    for row in logits.tolist():
        best = max(row)
        total = 0.0
        for logit in row:
            total += exp((logit - best) / temperature)
        tag_ids.append(row.index(best))
        scores.append(1.0 / total)
    return Decoded(tag_ids, scores.tolist())


def _best_of_many(logits: NDArray[np.float64], temperature: float) -> Decoded:
    """Return what the loop does. Writes into the logits."""
    tag_ids = logits.argmax(axis=1)
    logits -= logits.max(axis=1, keepdims=True)
    logits /= temperature
    scores = 1.0 / np.exp(logits, out=logits).sum(axis=1)
    return Decoded(tag_ids.tolist(), scores.astype(np.float32).tolist())


def allowed_transitions(tags: Tags) -> NDArray[np.bool_]:
    """Return whether tag j may follow tag i: any but an I-tag of another label. Shape: (L, L)."""
    names = tags.names
    return np.array([[b[:2] != "I-" or a[1:] == b[1:] for b in names] for a in names])


def _chains(
    lengths: NDArray[np.int64], wanted: NDArray[np.bool_], num_tags: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield, of some of the texts wanted at a time, each word's row and each text's length.

    The longest come first. Beyond a text's end stands the row of its last word. Shape: (N, W), (N,)
    """
    first = np.cumsum(lengths) - lengths
    order = np.flatnonzero(wanted)
    order = order[np.argsort(-lengths[order], kind="stable")]
    while order.size:
        longest = int(lengths[order[0]])
        some = order[: max(1, _MAX_CELLS // (num_tags * max(num_tags, longest)))]
        word = np.minimum(np.arange(longest), lengths[some, None] - 1)
        yield first[some, None] + word, lengths[some]
        order = order[len(some) :]
