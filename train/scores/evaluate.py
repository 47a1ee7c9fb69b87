"""Owns a model's figures on labelled lines, taken through the decoder that serves.

Two reports: entities (see `serve.scoring` for what counts as right) and the tags of words, as
`serve.words` cuts them, with `O` counted like any other tag.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from serve.encoding import EncodedBatch
from serve.examples import Example
from serve.scoring import EntityScores, Score, score_tagger
from serve.tagger import Tagger
from train.task.collate import align_tags


class TorchBackend:
    """A PyTorch model behind the tagger."""

    def __init__(self, model: nn.Module) -> None:
        """Take a token classifier on the device it is to run on."""
        self._model = model
        self._device = next(model.parameters()).device

    def logits(self, batch: EncodedBatch) -> NDArray[np.float32]:
        """Return a score for each token and tag. Shape: (B, T, L), float32."""
        self._model.eval()  # training may go on between two calls
        with torch.inference_mode():
            output = self._model(
                input_ids=torch.from_numpy(batch.input_ids).to(self._device),
                attention_mask=torch.from_numpy(batch.attention_mask).to(self._device),
            )
        logits: NDArray[np.float32] = output.logits.float().cpu().numpy()
        return logits


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Both reports of one split.

    Attributes:
        num_lines: Number of lines.
        entities: Scores of entities.
        words: Score of each word tag seen in gold or prediction, sorted by tag.
    """

    num_lines: int
    entities: EntityScores
    words: dict[str, Score]


def evaluate(tagger: Tagger, examples: Sequence[Example]) -> Evaluation:
    """Tag labelled lines and score the answers."""
    texts = [example.text for example in examples]
    encoded = tagger.encoder.encode(texts)
    gold = [align_tags(e, text.offsets) for e, text in zip(examples, encoded, strict=True)]
    words = score_tags(gold, tagger.word_tags(texts))
    return Evaluation(len(examples), score_tagger(tagger, examples), words)


def entity_f1(tagger: Tagger, examples: Sequence[Example]) -> float:
    """Return a tagger's micro entity F1 on labelled lines, in [0, 1]."""
    return score_tagger(tagger, examples).micro.f1


def score_tags(
    gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]
) -> dict[str, Score]:
    """Return the score of each tag that words have, text by text, sorted by tag.

    Raises:
        ValueError: If the numbers of texts or of a text's words differ.
    """
    pairs: Counter[tuple[str, str]] = Counter()
    for gold_tags, predicted_tags in zip(gold, predicted, strict=True):
        pairs.update(zip(gold_tags, predicted_tags, strict=True))
    support: Counter[str] = Counter()
    found: Counter[str] = Counter()
    for (gold_tag, predicted_tag), num in pairs.items():
        support[gold_tag] += num
        found[predicted_tag] += num
    return {t: Score(pairs[t, t], found[t], support[t]) for t in sorted(support | found)}
