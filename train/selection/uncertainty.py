"""Owns how unsure a tagger is of a line.

The measure is the maximum normalized log-probability of Shen et al. 2018, "Deep Active Learning for
Named Entity Recognition": the mean over a line's words of minus the logarithm of the probability of
the tag that serving would give, so that long lines are not preferred for being long.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from serve.decode.decoder import Decoder
from serve.tagger import Tagger

_LEAST = 1e-12
"""Probabilities below count as this one."""


def uncertainty(tagger: Tagger, texts: Sequence[str]) -> NDArray[np.float64]:
    """Return how unsure a tagger is of each text, in nats a word; 0 for a text without words.

    Args:
        tagger: The tagger.
        texts: The texts. Shape: (N,)
    """
    encoded = tagger.encoder.encode(texts)
    num_words = np.array([len(text.offsets) for text in encoded])
    if not num_words.sum():
        return np.zeros(len(texts))
    decoder = Decoder(tagger.tags, tagger.decoding)
    scores = decoder.decode(tagger.word_logits(encoded), num_words.tolist()).scores
    surprise = -np.log(np.maximum(scores, _LEAST))
    ends = np.cumsum(num_words)
    sums = np.diff(np.concatenate([[0.0], np.cumsum(surprise)])[np.concatenate([[0], ends])])
    return np.asarray(np.maximum(sums, 0.0) / np.maximum(num_words, 1))
