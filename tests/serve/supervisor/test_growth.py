"""Tests when a replica uses too much."""

from __future__ import annotations

import pytest

from serve.supervisor.growth import ReadyMemory, growth
from serve.supervisor.patience import Patience
from serve.supervisor.resources import Usage
from serve.supervisor.scrape import MAX_BYTES
from serve.triton.names import ModelVersion

PATIENCE = Patience(memory_growth_bytes=1_000_000_000, descriptors=0.8)


@pytest.mark.parametrize(
    ("used", "share", "words"),
    [
        (Usage(300_000_000, 0, 10, 1000), 0.0125, "file descriptors: expected at most 800 of the"),
        (
            Usage(700_000_000, 0, 10, 1000),
            0.4,
            "memory: expected at most 1,000 MB more than when it",
        ),
        (Usage(1_300_000_000, 0, 10, 1000), 1.0, "was ready, got 1,000 MB more"),
        (Usage(300_000_000, 0, 800, 1000), 1.0, "1,000 that are allowed, got 800"),
    ],
)
def test_the_limit_that_is_nearest_is_told(used: Usage, share: float, words: str) -> None:
    found, told = growth(used, 300_000_000, "", PATIENCE)
    assert found == pytest.approx(share)
    assert words in told


def test_a_server_that_shrank_and_tells_no_descriptors_is_far_from_every_limit() -> None:
    found, _ = growth(Usage(100_000_000, 0, 0, 0), 300_000_000, "", PATIENCE)
    assert found == 0.0


@pytest.mark.parametrize("num_characters", [MAX_BYTES // 2 - 1, MAX_BYTES // 2])
def test_a_server_is_restarted_before_its_metrics_are_too_many_to_be_read(
    num_characters: int,
) -> None:
    """It keeps the figures of each version that it ever had."""
    found, told = growth(Usage(1, 0, 10, 1000), 1, "x" * num_characters, PATIENCE)
    assert (found >= 1.0) is (num_characters == 500_000)
    assert told == f"metrics: expected at most 500,000 characters, got {num_characters:,}"


def listed(**states: str) -> list[ModelVersion]:
    return [ModelVersion("tagger", name[1:], state, "") for name, state in states.items()]


def used(memory_bytes: int, server_bytes: int = 0) -> Usage:
    return Usage(memory_bytes, server_bytes, 10, 1000)


def test_what_the_server_itself_has_grown_by_counts_on_after_a_publication() -> None:
    ready = ReadyMemory()
    ready.note(used(1_000, 300), listed(v1="READY"))
    ready.note(used(1_700, 900), listed(v1="READY"))
    ready.note(used(1_800, 950), listed(v1="UNAVAILABLE", v2="READY"))
    assert ready.num_bytes == 1_150, "650 of what it has are growth"


def test_a_version_that_is_loaded_beside_another_is_no_growth() -> None:
    ready = ReadyMemory()
    ready.note(used(1_000), listed(v1="READY"))
    ready.note(used(1_200), listed(v1="READY"))
    assert ready.num_bytes == 1_000
    ready.note(used(1_800), listed(v1="READY", v2="LOADING"))
    assert ready.num_bytes is None, "nobody can say how much it will be"
    ready.note(used(2_300), listed(v1="READY", v2="READY"))
    ready.note(used(2_400), listed(v1="READY", v2="READY"))
    assert ready.num_bytes == 2_300
    ready.note(used(1_400), listed(v1="UNAVAILABLE", v2="READY"))
    assert ready.num_bytes == 1_400


def test_a_server_that_does_not_say_what_it_has_is_held_against_what_it_was() -> None:
    ready = ReadyMemory()
    assert ready.num_bytes is None
    ready.note(used(1_000), [])
    ready.note(used(9_000), [])
    assert ready.num_bytes == 1_000
    ready.note(used(1_100), listed(v1="READY"))
    ready.note(used(9_000), [])
    assert ready.num_bytes == 1_100
