"""Which errors head the list."""

from __future__ import annotations

from tests.train.evaluation.lines import answer
from train.evaluation.pairs import Kind
from train.evaluation.worst import NUM_WORST, worst_lines


def test_the_surest_wrong_words_come_first_and_right_lines_not_at_all() -> None:
    right = answer("fix pump", gold="fix:A", predicted="fix:A", place="1")
    doubtful = answer("fix pump", gold="fix:A", predicted="fix:B", place="2", scores=[0.4, 0.9])
    sure = answer("fix pump", gold="pump:A", predicted="fix:A", place="3", scores=[0.9, 0.8])
    first, second = worst_lines([right, doubtful, sure])
    assert (first.place, first.weight) == ("3", 0.9 + 0.8)
    assert first.kinds == (Kind.SPURIOUS, Kind.MISSED)
    assert (second.place, second.weight, second.kinds) == ("2", 0.4, (Kind.LABEL,))


def test_the_list_ends_somewhere() -> None:
    lines = [answer("fix", gold="fix:A", place=str(i)) for i in range(1, NUM_WORST + 50)]
    assert [line.place for line in worst_lines(lines)] == [str(i) for i in range(1, NUM_WORST + 1)]
