import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.selection.choose import pick

NONE = np.zeros((0, 2), dtype=np.float32)


def vectors(*angles: float) -> "np.ndarray[tuple[int, int], np.dtype[np.float32]]":
    return np.array([[np.cos(a), np.sin(a)] for a in angles], dtype=np.float32)


def rows(doubts: list[float], angles: list[float], labelled: list[float], num: int) -> list[int]:
    known = vectors(*labelled) if labelled else NONE
    return [c.row for c in pick(np.array(doubts), vectors(*angles), known, num)]


def test_the_line_in_most_doubt_comes_first_and_one_like_it_is_passed_over() -> None:
    assert rows([1.0, 0.9, 0.5], [0.0, 0.01, 2.0], [], 2) == [0, 2]


def test_lines_like_labelled_ones_are_passed_over() -> None:
    assert rows([1.0, 0.5], [0.0, 2.0], [0.0], 1) == [1]


def test_of_lines_apart_the_doubt_decides() -> None:
    assert rows([0.1, 0.9, 0.5], [0.0, 2.0, 4.0], [], 1) == [1]


class Counted(np.ndarray):
    """An array that counts its products."""

    num_products = 0

    def __matmul__(self, other: object) -> object:
        Counted.num_products += 1
        return np.asarray(self) @ other


def test_labelled_lines_are_compared_many_at_once() -> None:
    draw = np.random.default_rng(1)
    pool, labelled = (draw.normal(size=(num, 5)).astype(np.float32) for num in (200, 500))
    pool, labelled = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (pool, labelled))
    Counted.num_products = 0
    (chosen,) = pick(np.ones(200), pool.view(Counted), labelled, 1)
    assert Counted.num_products <= 10, "one for many labelled lines, one for the line chosen"
    slowly = [min(1 - vector @ other for other in labelled) for vector in pool]
    assert chosen.row == np.argmax(slowly)
    assert chosen.distance == pytest.approx(max(slowly), abs=1e-6)


@given(
    st.lists(st.tuples(st.floats(0, 5), st.floats(0, 6)), max_size=12),
    st.integers(0, 15),
)
def test_as_many_as_asked_for_are_chosen_each_once(
    lines: list[tuple[float, float]], num: int
) -> None:
    if not lines:
        assert pick(np.zeros(0), NONE, NONE, num) == []
        return
    doubts, angles = zip(*lines, strict=True)
    found = rows(list(doubts), list(angles), [1.0], num)
    assert len(found) == len(set(found)) == min(num, len(lines))
