import pytest

from train.curve.draw import drawn_rows
from train.curve.execute import sizes_of
from train.curve.runs import Run
from train.curve.summary import lines_needed, summary
from train.curve.text import curve_text


def run(pick: str, num_lines: int, draw: int, f1: float, test: float | None = None) -> Run:
    return Run(
        strategy="a", pick=pick, num_lines=num_lines, draw=draw, num_words=num_lines, num_spans=2,
        dev_f1=f1, test_f1=test, num_epochs=2, training_s=1.0, next_rows=[], made_of="x",
        trained_on="rows", tested_on=None,
    )  # fmt: skip


RUNS = [run("random", n, d, f1 + d / 100) for n, f1 in ((10, 0.2), (20, 0.4)) for d in (1, 3)]


def test_mean_and_spread_of_each_size() -> None:
    first, second = summary(RUNS)
    assert (first.num_lines, second.num_lines, first.num_draws) == (10, 20, 2)
    assert first.dev_f1.mean == pytest.approx(0.22)
    assert first.dev_f1.deviation == pytest.approx(0.02**0.5 / 10)
    assert (first.dev_f1.least, first.dev_f1.most) == pytest.approx((0.21, 0.23))
    assert first.test_f1 is None
    assert first.random_lines is None


def test_chosen_lines_are_weighed_in_random_ones() -> None:
    *_, chosen = summary([*RUNS, run("select", 10, 1, 0.32)])
    assert chosen.random_lines == pytest.approx(15.0)
    assert "15 (33% saved)" in curve_text([*summary(RUNS), chosen])


@pytest.mark.parametrize(
    ("f1", "lines"), [(0.1, 10.0), (0.2, 10.0), (0.3, 15.0), (0.4, 20.0), (0.41, None)]
)
def test_lines_needed_are_read_off_the_curve(f1: float, lines: float | None) -> None:
    found = lines_needed([(10, 0.2), (20, 0.4)], f1)
    assert found == (lines if lines is None else pytest.approx(lines))


def test_test_is_shown_where_all_runs_looked_at_it() -> None:
    looked = [run("random", 10, d, 0.5, 0.25) for d in (1, 2)]
    assert "test F1" in curve_text(summary(looked))
    assert "test F1" not in curve_text(summary(RUNS))
    assert summary([*looked, run("random", 10, 3, 0.5)])[0].test_f1 is None


def test_draws_are_nested_and_differ() -> None:
    assert drawn_rows(100, 10, 1) == drawn_rows(100, 50, 1)[:10]
    assert drawn_rows(100, 10, 1) != drawn_rows(100, 10, 2)
    assert sorted(drawn_rows(9, 9, 3)) == list(range(9))


def test_sizes_beyond_the_corpus_are_left_out() -> None:
    assert sizes_of((10, 50, None), 50) == [10, 50]
    assert sizes_of((10, 60, None), 50) == [10, 50]
    assert sizes_of((60,), 50) == []
