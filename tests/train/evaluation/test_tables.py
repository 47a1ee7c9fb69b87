"""What the tables show of figures that the lines are too few for."""

from __future__ import annotations

import pytest

from serve.bootstrap import F1Change
from tests.train.evaluation.lines import answer
from train.evaluation import tables
from train.evaluation.as_json import assessment_json
from train.evaluation.assess import assess
from train.evaluation.plots import label_picture
from train.evaluation.significance import Difference, Differences


def test_a_label_right_two_times_of_two_has_no_interval() -> None:
    rare = [answer(f"oil {i}", gold="oil:B", predicted="oil:B") for i in range(2)]
    common = [
        answer(f"fix {i} pump", gold="fix:A", predicted="" if i % 4 else "fix:A") for i in range(40)
    ]
    assessment = assess([*rare, *common])
    rows = {row[0]: row for row in tables.labels(assessment).rows}
    assert rows["B"][4:6] == ["1.0000", "-"]
    low, high = map(float, rows["A"][5].split("-"))
    assert 0 < low < float(rows["A"][4]) < high < 1
    assert assessment_json(assessment)["f1_intervals"]["B"] is None
    assert ">B (2)</text>" in label_picture(assessment)


@pytest.mark.parametrize(
    ("p_value", "shown"), [(1 / 2001, "<0.001"), (0.0009, "<0.001"), (0.001, "0.001"), (1, "1.000")]
)
def test_a_p_value_is_never_shown_as_0(p_value: float, shown: str) -> None:
    found = Difference(F1Change(9, 0.5, 0.75, (-40.0, -10.0)), p_value, 9)
    (row,) = tables.differences(Differences(found, {})).rows
    assert row[-1] == shown
