"""What a user calls things stands in pictures as it is."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from train.curve.plot import plot
from train.curve.runs import Run
from train.evaluation.plots import label_picture


@pytest.mark.parametrize("label", ["C$_$D", "A$B$", "$", r"a\$b$", "$$"])
def test_a_label_with_dollars_is_no_mathematics(label: str) -> None:
    score = SimpleNamespace(f1=0.5, num_gold=3)
    intervals = {"all": (0.4, 0.6), label: None}
    entities = SimpleNamespace(micro=score, by_label={label: score})
    drawn = label_picture(SimpleNamespace(f1_intervals=intervals, entities=entities))
    assert f">{label} (3)</text>" in drawn


def test_nor_is_the_name_of_a_strategy(tmp_path: Path) -> None:
    run = Run(
        strategy="C$_$D", pick="random", num_lines=50, draw=1, num_words=400, num_spans=90,
        dev_f1=0.5, test_f1=None, num_epochs=3, training_s=1.0, next_rows=[], made_of="a",
        trained_on="b", tested_on=None,
    )  # fmt: skip
    plot([run], tmp_path / "curve.png")
    assert (tmp_path / "curve.png").stat().st_size
