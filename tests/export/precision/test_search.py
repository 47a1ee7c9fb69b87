"""The search for the fewest nodes to leave in FP32, on gates whose answer is known."""

from __future__ import annotations

from collections.abc import Callable

from export.precision.search import MAX_EXCLUDED, fewest_exclusions

NAMES = [f"node{number}" for number in range(40)]


def gate(*needed: str) -> tuple[Callable[[tuple[str, ...]], tuple[str, ...] | None], list[object]]:
    """Return a gate that opens when all of some nodes are left out, and what was tried on it."""
    tried: list[object] = []

    def passed(excluded: tuple[str, ...]) -> tuple[str, ...] | None:
        tried.append(excluded)
        return excluded if set(needed) <= set(excluded) else None

    return passed, tried


def test_the_worst_node_is_left_out_alone_if_that_is_enough() -> None:
    passed, tried = gate("node0")
    assert fewest_exclusions(dict.fromkeys(NAMES, 1.0), passed) == ("node0",)
    assert tried == [("node0",)]


def test_nodes_that_turn_out_not_to_be_needed_are_put_back() -> None:
    passed, _ = gate("node1", "node4")
    assert fewest_exclusions(dict.fromkeys(NAMES, 1.0), passed) == ("node1", "node4")


def test_the_search_ends_where_nothing_helps() -> None:
    passed, tried = gate("none of them")
    assert fewest_exclusions(dict.fromkeys(NAMES, 1.0), passed) is None
    assert len(tried) == MAX_EXCLUDED
    passed, tried = gate("none of them")
    assert fewest_exclusions(dict.fromkeys(NAMES[:6], 1.0), passed) is None
    assert len(tried) == 3  # half of them stay reduced
