"""What activations are measured on, and that 0 lies in every range."""

from __future__ import annotations

from collections import Counter

import pytest

from export.precision.calibration import (
    BATCH_TOKENS,
    Range,
    activation_ranges,
    calibration_batches,
)
from serve.encoding import Encoder
from serve.errors import GraphError
from tests.export.precision.signed import batch_of, signed
from tests.serve.tiny import MAX_TOKENS, noisy_lines, tiny_tokenizer


def test_every_window_is_run_once_beside_others_of_its_length_and_all_texts_joined() -> None:
    encoder = Encoder(tiny_tokenizer(), max_tokens=MAX_TOKENS, pad_id=0)
    texts = noisy_lines(200)
    batches = list(calibration_batches(encoder, texts))
    assert all((batch.attention_mask == 1).all() for batch in batches)
    assert all(batch.input_ids.size <= BATCH_TOKENS for batch in batches)
    expected = [w for text in encoder.encode([*texts, " ".join(texts)]) for w in text.windows]
    assert Counter(tuple(row) for batch in batches for row in batch.input_ids.tolist()) == Counter(
        tuple(window.input_ids) for window in expected
    )
    assert len(batches) < len(expected) / 4, "many run together"


def test_however_few_the_lines_all_positions_are_reached() -> None:
    encoder = Encoder(tiny_tokenizer(), max_tokens=MAX_TOKENS, pad_id=0)
    batches = list(calibration_batches(encoder, ["oil pump"]))
    assert max(batch.input_ids.shape[1] for batch in batches) == MAX_TOKENS


@pytest.mark.parametrize(
    ("scale", "low", "high"), [(1.0, 0.0, 9.0), (-1.0, -9.0, 0.0), (0.0, 0.0, 0.0)]
)
def test_a_range_is_over_all_batches_and_holds_0(scale: float, low: float, high: float) -> None:
    batches = [batch_of(3, 5), batch_of(9, 4, 6), batch_of(7)]
    found = activation_ranges(signed(scale), ["x"], batches)["x"]
    assert (found.low, found.high) == (low, high)
    step = found.zero_point * found.scale
    assert step == pytest.approx(-found.low, abs=1e-5), "0 is a step of its own"


def test_a_range_is_parted_into_the_steps_of_eight_bits() -> None:
    assert (Range(-51.0, 204.0).scale, Range(-51.0, 204.0).zero_point) == (1.0, 51)
    assert (Range(0.0, 0.0).scale, Range(0.0, 0.0).zero_point) == (1.0, 0)


@pytest.mark.parametrize("scale", [float("nan"), float("inf")])
def test_what_is_not_finite_is_named(scale: float) -> None:
    with pytest.raises(GraphError, match="expected x to be finite on the calibration lines"):
        activation_ranges(signed(scale), ["x"], [batch_of(3)])


def test_large_values_are_finite_though_their_sum_in_fp32_is_not() -> None:
    found = activation_ranges(signed(1e37), ["x"], [batch_of(9, 9, 9, 9)])["x"]
    assert found.high == pytest.approx(9e37)
