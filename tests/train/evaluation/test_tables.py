"""What the tables show of figures that the lines are too few for."""

from __future__ import annotations

from tests.train.evaluation.lines import answer
from train.evaluation import tables
from train.evaluation.as_json import assessment_json
from train.evaluation.assess import assess
from train.evaluation.plots import label_picture


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
