"""Tests what the model counts, and that all of it is handed on."""

from __future__ import annotations

import pytest

from serve.encoding import Window
from serve.entities import Entity
from serve.errors import DataError, Refusal
from serve.limits import MAX_CHARS, MAX_TEXT_BYTES, decode_text
from serve.triton.metering import Counts, Flusher, Meter
from serve.triton.processes import wait_until
from serve.words import NO_WORD


def window(num_tokens: int) -> Window:
    return Window([7] * num_tokens, [NO_WORD] * num_tokens, 0, [])


def test_an_execution_is_counted_over_its_requests_texts_and_entities() -> None:
    meter = Meter()
    item, activity = Entity("Item", 0, 4, 0.9), Entity("Activity", 0, 3, 0.8)
    meter.count_windows([window(5), window(7)], 4)
    meter.count_windows([window(3)], 0)
    meter.count_answers(["pump", "fix it"], [[item], [activity, item]], num_requests=1, seconds=0.5)
    meter.count_answers(["x"], [[]], num_requests=3, seconds=0.25)
    assert dict(meter.take()) == {
        ("tokens", ""): 15,
        ("padding", ""): 4,
        ("requests", ""): 4,
        ("batches", ""): 2,
        ("seconds", ""): 0.75,
        ("texts", ""): 3,
        ("characters", ""): 11,
        ("entities", "Item"): 2,
        ("entities", "Activity"): 1,
    }
    assert not meter.take(), "what was taken is not counted twice"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"x" * (MAX_CHARS + 1), "too_long"),
        (b"x" * (MAX_TEXT_BYTES + 1), "too_long"),
        (b"pump \xff", "not_unicode"),
    ],
)
def test_a_refusal_is_counted_by_what_is_wrong_with_the_text(content: bytes, reason: str) -> None:
    with pytest.raises(DataError) as refused:
        decode_text(content, 0)
    assert refused.value.reason == reason


def test_the_reason_of_a_refusal_is_not_read_out_of_its_words() -> None:
    assert DataError("expected at most this, got no UTF-8").reason is Refusal.OTHER


@pytest.mark.parametrize("pause_s", [0.01, 60.0])
def test_sums_are_handed_on_now_and_then_and_the_last_ones_at_the_end(
    monkeypatch: pytest.MonkeyPatch, pause_s: float
) -> None:
    monkeypatch.setattr("serve.triton.metering._FLUSH_S", pause_s)
    given: list[Counts] = []
    meter = Meter()
    flusher = Flusher(meter, given.append)
    meter.count_refusal(Refusal.TOO_LONG)
    if pause_s < 1:
        assert wait_until(lambda: any(given), timeout_s=5.0), "without being closed"
    flusher.close()
    assert [dict(counts) for counts in given if counts] == [{("refusals", "too_long"): 1}]
