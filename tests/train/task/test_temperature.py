"""The temperature that is fitted, on words whose tags are drawn with chances that are known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from serve.decode.decoding import Decoding
from serve.encoding import EncodedBatch
from serve.examples import Example, Span
from serve.labels import Tags
from serve.tagger import Tagger
from tests.conftest import FILLERS, tiny_encoder
from train.corpus.data import Split
from train.evaluation.ask import ask
from train.task.temperature import LOWEST, fit_temperature, log_loss

TAGS = Tags.from_labels(["A", "B"])
WORDS = [word for word in FILLERS if word.isalpha()]


class TableBackend:
    """Gives each token id the logits of a table."""

    def __init__(self, table: NDArray[np.float32]) -> None:
        self._table = table

    def logits(self, batch: EncodedBatch) -> NDArray[np.float32]:
        return self._table[batch.input_ids]


def lines_and_tagger(
    temperature: float, decoding: Decoding | None = None, num_lines: int = 600
) -> tuple[list[Example], Tagger]:
    """Return lines whose words' tags are as probable as the logits over a temperature say."""
    draw = np.random.default_rng(7)
    table = draw.normal(scale=3, size=(500, len(TAGS))).astype(np.float32)
    table[:, [2, 4]] = -60.0  # no I-tags: a span is a word
    tagger = Tagger(tiny_encoder(), TAGS, TableBackend(table), decoding=decoding)
    examples = []
    for _ in range(num_lines):
        words = draw.choice(WORDS, size=6).tolist()
        (text,) = tagger.encoder.encode([" ".join(words)])
        chances = np.exp(tagger.word_logits([text]).astype(float) / temperature)
        chances /= chances.sum(axis=1, keepdims=True)
        tags = [TAGS.names[draw.choice(len(TAGS), p=row)] for row in chances]
        pairs = zip(text.offsets, tags, strict=True)
        spans = tuple(Span(*offsets, tag[2:]) for offsets, tag in pairs if tag != "O")
        examples.append(Example(" ".join(words), spans))
    return examples, tagger


@pytest.mark.parametrize("temperature", [0.6, 1.0, 2.5])
@pytest.mark.parametrize("decoding", [None, Decoding(constrained=True, temperature=3.0)])
def test_the_temperature_that_the_tags_were_drawn_with_is_found(
    temperature: float, decoding: Decoding | None
) -> None:
    examples, tagger = lines_and_tagger(temperature, decoding)
    assert fit_temperature(tagger, examples) == pytest.approx(temperature, rel=0.1)


def test_a_crf_has_its_marginals_fitted() -> None:
    zeros = (0.0,) * len(TAGS)
    crf = Decoding(transitions=(zeros,) * len(TAGS), start=zeros, end=zeros)
    examples, tagger = lines_and_tagger(2.0, crf)
    assert fit_temperature(tagger, examples) == pytest.approx(2.0, rel=0.1)


def test_few_lines_without_an_error_ask_for_no_certainty_and_hopeless_ones_bound_it() -> None:
    examples, tagger = lines_and_tagger(1.0, num_lines=5)
    found = tagger.tag([example.text for example in examples])
    right = [
        Example(example.text, tuple(Span(e.start, e.end, e.label) for e in entities))
        for example, entities in zip(examples, found, strict=True)
    ]
    place = next(place for place, example in enumerate(right) if example.spans)
    spoilt = [*right]
    spoilt[place] = replace(right[place], spans=right[place].spans[1:])
    without, with_one = fit_temperature(tagger, right), fit_temperature(tagger, spoilt)
    assert LOWEST < without < with_one < 1.0, "surer than the logits are, for all are right"
    assert with_one / without < 1.1, "an error more or less says little"
    assert fit_temperature(tagger, []) == 1.0
    swap = {"A": "B", "B": "A"}
    wrong = [
        Example(e.text, tuple(Span(s.start, s.end, swap[s.label]) for s in e.spans)) for e in right
    ]
    assert fit_temperature(tagger, wrong) == pytest.approx(10.0, rel=1e-4)


def test_the_temperature_changes_scores_and_no_tag() -> None:
    examples, tagger = lines_and_tagger(1.0, Decoding(temperature=4.0), num_lines=20)
    split = Split(path=Path("lines"), places=tuple(map(str, range(20))), examples=tuple(examples))
    for answer in ask(tagger, split):
        assert [(e.start, e.label) for e in answer.entities] == [
            (e.start, e.label) for e in answer.plain_entities
        ]
        assert all(s < p for s, p in zip(answer.scores, answer.plain_scores, strict=True))


def test_the_loss_is_that_of_the_chance_given_to_what_was_right_but_for_some_doubt() -> None:
    scores = np.array([0.8, 0.4, 0.9], dtype=np.float32)
    loss = log_loss(scores, np.array([True, False, True]))
    right = -0.75 * np.log([0.8, 0.9]) - 0.25 * np.log([0.2, 0.1])  # two of them: 3 of 4
    wrong = -np.log(0.4) / 3 - 2 * np.log(0.6) / 3
    assert loss == pytest.approx((right.sum() + wrong) / 3, rel=1e-5)
    certain = np.array([1.0, 1.0, 0.0])
    assert np.isfinite(log_loss(certain, np.array([True, False, True])))


def test_of_many_words_the_loss_is_that_of_what_was_right() -> None:
    draw = np.random.default_rng(3)
    scores = draw.uniform(0.05, 0.95, size=20_000)
    right = draw.uniform(size=20_000) < scores
    chance = np.where(right, scores, 1.0 - scores)
    assert log_loss(scores, right) == pytest.approx(-np.log(chance).mean(), rel=1e-3)
