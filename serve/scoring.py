"""Owns entity precision, recall and F1: the figures of training and of export's gate.

Mode: a predicted entity counts as right when label, start and end all equal a gold span's (what
nervaluate calls strict; on well-formed tags the same as seqeval and conlleval). No credit for
overlap.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from serve.entities import AnyTagger
from serve.examples import Example, Span


@dataclass(frozen=True, slots=True)
class Score:
    """Counts of one label, or of all of them, and the figures they give.

    Attributes:
        num_correct: Predicted spans that are gold spans.
        num_predicted: Predicted spans.
        num_gold: Gold spans (the support).
    """

    num_correct: int
    num_predicted: int
    num_gold: int

    @property
    def precision(self) -> float:
        """Share of predicted spans that are right, in [0, 1]; 0 when nothing was predicted."""
        return self.num_correct / self.num_predicted if self.num_predicted else 0.0

    @property
    def recall(self) -> float:
        """Share of gold spans that were found, in [0, 1]; 0 when there are none."""
        return self.num_correct / self.num_gold if self.num_gold else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall, in [0, 1]."""
        total = self.num_predicted + self.num_gold
        return 2 * self.num_correct / total if total else 0.0


@dataclass(frozen=True, slots=True)
class EntityScores:
    """Scores of a whole data set.

    Attributes:
        by_label: Score of each label seen in gold or prediction, sorted by label.
        micro: All labels counted together.
    """

    by_label: dict[str, Score]
    micro: Score


def score_tagger(tagger: AnyTagger, examples: Sequence[Example]) -> EntityScores:
    """Tag labelled lines and score the answers."""
    answers = tagger.tag([example.text for example in examples])
    predicted = [[Span(e.start, e.end, e.label) for e in entities] for entities in answers]
    return score_entities([example.spans for example in examples], predicted)


def score_entities(
    gold: Sequence[Iterable[Span]], predicted: Sequence[Iterable[Span]]
) -> EntityScores:
    """Score predicted spans against gold spans, text by text.

    Args:
        gold: Gold spans of each text.
        predicted: Predicted spans of each text, in the same order.

    Raises:
        ValueError: If the numbers of texts differ.
    """
    if len(gold) != len(predicted):
        raise ValueError(f"expected predictions for {len(gold)} texts, got {len(predicted)}")
    correct: Counter[str] = Counter()
    found: Counter[str] = Counter()
    support: Counter[str] = Counter()
    for gold_spans, predicted_spans in zip(map(set, gold), map(set, predicted), strict=True):
        correct.update(span.label for span in gold_spans & predicted_spans)
        found.update(span.label for span in predicted_spans)
        support.update(span.label for span in gold_spans)
    by_label = {k: Score(correct[k], found[k], support[k]) for k in sorted(support | found)}
    return EntityScores(by_label, Score(correct.total(), found.total(), support.total()))
