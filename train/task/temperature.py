"""Owns the temperature: what logits are divided by, so that scores say how often a tag is right.

It is fitted on the dev lines, after training, and changes no tag. What is minimized is the log loss
of "this word's tag is right" under the scores that serving would give: for plain decoding, for
constrained decoding and for a CRF's marginals alike. Its targets are Platt's (1999, "Probabilistic
outputs for support vector machines"): not quite 1 and 0, but what so many right and wrong words let
one expect of the next. So a tagger without an error is not asked to be certain.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from serve.decode.decoder import Decoded, Decoder
from serve.decode.decoding import Decoding
from serve.examples import Example
from serve.tagger import Tagger
from train.task.collate import align_tags

LOWEST, HIGHEST = 0.25, 10.0
"""Bounds: few lines may ask for next to 0, or for any number."""
_NEAREST = 1e-4  # of its logarithm; no score differs by as much
_FLOOR = 1e-7  # of a probability: no score is certain


def fit_temperature(tagger: Tagger, examples: Sequence[Example]) -> float:
    """Return the temperature at which a tagger's scores fit labelled lines best.

    Args:
        tagger: Whose decoding has the temperature to replace.
        examples: Lines that it was not trained on.

    Returns:
        From `LOWEST` to `HIGHEST`; 1 if there is no word.
    """
    encoded = tagger.encoder.encode([example.text for example in examples])
    logits = tagger.word_logits(encoded)
    num_words = [len(text.offsets) for text in encoded]
    pairs = zip(examples, encoded, strict=True)
    gold = [tag for e, text in pairs for tag in align_tags(e, text.offsets)]

    def decoded(temperature: float) -> Decoded:
        decoding: Decoding = replace(tagger.decoding, temperature=temperature)
        return Decoder(tagger.tags, decoding).decode(logits, num_words)

    tags = np.array(tagger.tags.names, dtype=object)[decoded(1.0).tag_ids]
    right = tags == np.array(gold, dtype=object)
    if not right.size:
        return 1.0
    bounds = (math.log(LOWEST), math.log(HIGHEST))
    found = minimize_scalar(
        lambda log: log_loss(np.array(decoded(math.exp(log)).scores), right),
        bounds=bounds, options={"xatol": _NEAREST},
    )  # fmt: skip
    return math.exp(found.x)


def log_loss(scores: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """Return the mean log loss of scores under Platt's targets, in nats.

    Args:
        scores: How sure the tagger is of each word's tag. Shape: (N,).
        right: Whether the tag is right. Shape: (N,).
    """
    num_right = right.sum()
    targets = np.where(right, (num_right + 1) / (num_right + 2), 1 / (len(right) - num_right + 2))
    sure, unsure = (np.log(np.maximum(chance, _FLOOR)) for chance in (scores, 1.0 - scores))
    return float(-(targets * sure + (1.0 - targets) * unsure).mean())
