"""What identifies a run."""

from __future__ import annotations

import tracemalloc

from torch import nn

from train.config import TrainConfig
from train.record import run_digest


def test_a_runs_digest_is_of_every_line_and_takes_them_one_by_one() -> None:
    config, model = TrainConfig(), nn.Linear(1, 1)
    lines = [f"fix pump {number}" * 20 for number in range(5000)]
    other = [*lines[:-1], "fix hose"]
    tracemalloc.start()
    try:
        digests = [run_digest(config, content, model) for content in (lines, lines, other)]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert digests[0] == digests[1] != digests[2]
    assert peak < sum(map(len, lines)) / 4
