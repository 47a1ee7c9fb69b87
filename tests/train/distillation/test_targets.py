from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate.utils import send_to_device
from torch.nn.functional import cross_entropy

from serve.encoding import Encoder
from serve.examples import Example, Span
from serve.labels import Tags
from train.distillation.targets import (
    collate_taught,
    mix_gold,
    soft_loss,
    taught_windows,
)
from train.model.base import find_base
from train.task.collate import TrainingBatch

TAGS = Tags.from_labels(["Item"])
EXAMPLE = Example("fix air pump", (Span(4, 12, "Item"),))


@pytest.fixture(scope="module")
def encoder(tiny_base: Path) -> Encoder:
    return find_base(str(tiny_base)).encoder()


def batch_of(encoder: Encoder, texts: list[str], seed: int = 0) -> TrainingBatch:
    encoded = encoder.encode(texts)
    draw = np.random.default_rng(seed)
    targets = [draw.dirichlet(np.ones(3), len(t.offsets)).astype(np.float32) for t in encoded]
    return collate_taught(taught_windows(encoded, targets), encoder)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_gold_and_teachers_are_weighed_against_each_other(encoder: Encoder, share: float) -> None:
    (encoded,) = encoder.encode([EXAMPLE.text])
    taught = np.full((3, 3), 1 / 3, dtype=np.float32)
    targets = mix_gold(EXAMPLE, encoded, taught, TAGS, share)
    assert targets == pytest.approx(share * np.eye(3) + (1 - share) / 3)


def test_targets_stand_at_the_first_token_of_each_word_and_nowhere_else(encoder: Encoder) -> None:
    texts = ["rewelding hose", "fix", "", "replace the air pump"]
    encoded = encoder.encode(texts)
    targets = [np.full((len(t.offsets), 3), i, np.float32) for i, t in enumerate(encoded)]
    windows = taught_windows(encoded, targets)
    batch = collate_taught(windows, encoder)
    assert len(windows) == 3
    assert batch.num_trained == 2 + 1 + 4
    for row, (taught, value) in enumerate(zip(windows, (0, 1, 3), strict=True)):
        expected = torch.zeros(batch.targets.shape[1])
        expected[taught.window.first_tokens] = value
        assert batch.targets[row, :, 2].equal(expected)


def test_a_text_of_many_windows_is_taught_each_word_once(encoder: Encoder) -> None:
    (text,) = encoder.encode([" ".join(["pump"] * 150)])
    rows = np.arange(150, dtype=np.float32)[:, None].repeat(3, axis=1)
    windows = taught_windows([text], [rows])
    assert len(windows) > 2
    assert np.concatenate([taught.targets for taught in windows]).tolist() == rows.tolist()


def test_the_loss_is_the_cross_entropy_with_the_targets(encoder: Encoder) -> None:
    batch = batch_of(encoder, ["fix air pump", "hose"])
    logits = torch.randn(*batch.targets.shape, generator=torch.Generator().manual_seed(0))
    trained = batch.targets.sum(dim=-1) > 0
    expected = cross_entropy(logits[trained], batch.targets[trained], reduction="sum")
    assert int(trained.sum()) == batch.num_trained == 4
    assert soft_loss(logits, batch).item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_batch_on_a_device_is_the_same(encoder: Encoder) -> None:
    batch = batch_of(encoder, ["fix air pump"])
    moved = send_to_device(batch, torch.device("cpu"), non_blocking=True)
    assert isinstance(moved, TrainingBatch)
    assert moved.targets.equal(batch.targets)
    assert moved.input_ids.equal(batch.input_ids)
    assert moved.num_trained == batch.num_trained
