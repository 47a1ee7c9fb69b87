"""Tests that a run is made as the settings ask: its epochs, batches, rates and its score."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from torch.optim import SGD

from serve.decode.decoding import Decoding
from serve.errors import DataError
from serve.examples import Example
from serve.labels import Tags
from serve.tagger import Tagger
from tests.conftest import TINY_LABELS, tiny_lines
from train.config import Decoder, OptimizerName, TrainConfig
from train.corpus.data import Corpus, Split
from train.loop.optimizer import CHAIN_SCALE, SCALE
from train.loop.plan import Task
from train.model.base import find_base
from train.scores.evaluate import TorchBackend, entity_f1
from train.task.material import gold_material
from train.task.objective import Learner
from train.task.tagging import default_epochs, tagging_plan, tagging_task


@pytest.mark.parametrize(
    ("steps_per_epoch", "num_epochs"), [(1, 40), (12, 34), (57, 8), (92, 5), (101, 4), (9999, 4)]
)
def test_a_small_corpus_is_read_more_often(steps_per_epoch: int, num_epochs: int) -> None:
    assert default_epochs(steps_per_epoch) == num_epochs


def test_the_epochs_asked_for_are_taken_and_else_those_that_the_steps_make() -> None:
    assert tagging_plan(TrainConfig(epochs=3), 1_000, "id").num_epochs == 3
    assert tagging_plan(TrainConfig(batch_size=10), 561, "id").num_epochs == default_epochs(57)


def corpus_of(examples: tuple[Example, ...]) -> Corpus:
    split = Split(Path("x.jsonl"), tuple(map(str, range(len(examples)))), examples)
    return Corpus(train=split, dev=split, test=None, tags=Tags.from_labels(TINY_LABELS))


@pytest.fixture
def corpus() -> Corpus:
    return corpus_of(tuple(tiny_lines(seed=1, num_lines=20)))


def task_of(config: TrainConfig, corpus: Corpus, folder: Path) -> Task[Any]:
    base = find_base(str(folder))
    material = gold_material(config, corpus, base.encoder())
    learner = Learner(base.load_model(corpus.tags), material.objective)
    return tagging_task(config, corpus, material, base, learner)


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_words_are_hidden_in_the_share_asked_for(
    corpus: Corpus, tiny_base: Path, share: float
) -> None:
    task = task_of(TrainConfig(word_dropout=share), corpus, tiny_base)
    mask = find_base(str(tiny_base)).tokenizer.token_to_id("[MASK]")
    (rows, *_) = task.batches(1)
    assert (task.collate(rows).input_ids == mask).any() == (share > 0)


def test_the_optimizer_and_its_weight_decay_are_those_asked_for(
    corpus: Corpus, tiny_base: Path
) -> None:
    config = TrainConfig(optimizer=OptimizerName.SGD, weight_decay=0.2)
    optimizer = task_of(config, corpus, tiny_base).optimizer
    assert isinstance(optimizer, SGD)
    assert {group["weight_decay"] for group in optimizer.param_groups} == {0.2, 0.0}


def test_batches_hold_every_line_once_and_are_drawn_by_seed_and_epoch(
    corpus: Corpus, tiny_base: Path
) -> None:
    task = task_of(TrainConfig(batch_size=8, seed=1), corpus, tiny_base)
    first = task.batches(1)
    assert sorted(row for rows in first for row in rows) == list(range(20))
    assert max(map(len, first)) == 8
    assert first == task.batches(1) != task.batches(2)
    assert first != task_of(TrainConfig(batch_size=8, seed=2), corpus, tiny_base).batches(1)


@pytest.mark.parametrize(
    ("config", "scales"),
    [
        (TrainConfig(), {1.0}),
        (TrainConfig(layer_decay=0.5), {1.0, 0.5, 0.25, 0.125}),
        (TrainConfig(decoder=Decoder.CRF), {1.0, CHAIN_SCALE}),
    ],
)
def test_each_part_learns_at_the_share_of_the_rate_asked_for(
    corpus: Corpus, tiny_base: Path, config: TrainConfig, scales: set[float]
) -> None:
    groups = task_of(config, corpus, tiny_base).optimizer.param_groups
    assert {group[SCALE] for group in groups} == scales


@pytest.mark.parametrize("decoder", [Decoder.PLAIN, Decoder.CONSTRAINED])
def test_the_score_is_that_of_the_decoder_that_will_serve(
    corpus: Corpus, tiny_base: Path, decoder: Decoder
) -> None:
    """An untrained model breaks the order of tags everywhere, so the two differ."""
    task = task_of(TrainConfig(decoder=decoder), corpus, tiny_base)
    learner: Learner = task.learner  # type: ignore[assignment]
    served, other = (
        entity_f1(
            Tagger(
                find_base(str(tiny_base)).encoder(),
                corpus.tags,
                TorchBackend(learner.model),
                decoding=decoding,
            ),
            corpus.dev.examples,
        )
        for decoding in (
            learner.objective.decoding(),
            Decoding(constrained=decoder is Decoder.PLAIN),
        )
    )
    assert task.score() == served != other


def test_lines_without_a_word_are_refused(tiny_base: Path) -> None:
    with pytest.raises(DataError, match=r"x\.jsonl: expected lines with words, got none"):
        task_of(TrainConfig(), corpus_of((Example(" ", ()),)), tiny_base)
