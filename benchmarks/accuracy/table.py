"""Owns the tables of all runs: means and their spread, gains, and how often test was looked at.

Runs on one draw of few lines are no independent evidence, and draws differ more than runs: means
and spreads are of the draws' means, and a gain is taken over the draws that both sides have. Where
all lines are trained on, each run counts by itself.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from benchmarks.accuracy.plan import draw_of
from benchmarks.machine import Machine

Row = Mapping[str, Any]
Rows = Iterable[Row]


def format_table(rows: Rows) -> str:
    """Return one line for each experiment as Markdown, in the order of its first run."""
    lines = [
        "| experiment | runs | draws | dev F1 | test F1 | 95 % interval (first seed) | CPU s a run "
        "| s of training | peak MB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, group in _experiments(rows).items():
        looked = [row["test"] for row in group if row["test"]]
        interval = looked[0]["interval"] if looked else None
        dev = _by_draw(group, "dev")
        cells = [
            name,
            str(len(group)),
            str(len(dev)),
            _mean(dev.values(), 4),
            _mean(_by_draw(group, "test").values(), 4),
            "{:.3f} to {:.3f}".format(*interval) if interval else "",
            _rounded([row["cpu_s"] for row in group]),
            _rounded([row["training_s"] for row in group if "training_s" in row]),
            _rounded([row["peak_memory_bytes"] / 1e6 for row in group if "training_s" in row]),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def format_machines(rows: Rows) -> str:
    """Return a line for each kind of machine with the number of runs that were made on it."""
    runs = Counter(
        Machine(**row["machine"]).cores if "machine" in row else "machines that they do not name"
        for row in rows
    )
    return "\n".join(f"{num} runs on {cores}" for cores, num in runs.items())


def format_gains(rows: Rows) -> str:
    """Return what experiments gain over plain training on as many lines, as Markdown.

    A line for each that has draws in common with it; none of them is "".
    """
    groups = _experiments(rows)
    lines = []
    for name, group in groups.items():
        plain = _plain(group[0])
        if name == plain or plain not in groups:
            continue
        before, after = _by_draw(groups[plain], "dev"), _by_draw(group, "dev")
        if draws := sorted(before.keys() & after.keys()):
            sides = [[f1[draw] for draw in draws] for f1 in (before, after)]
            gains = [100 * (new - old) for old, new in zip(*sides, strict=True)]
            cells = [name, str(len(draws)), *(_mean(side, 4) for side in sides), _mean(gains, 1)]
            lines.append("| " + " | ".join(cells) + " |")
    head = ["| experiment | common draws | plain, dev F1 | dev F1 | gain, points |"]
    return "\n".join([*head, "|---|---|---|---|---|", *lines]) if lines else ""


def num_looks(rows: Rows) -> int:
    """Return how many runs looked at test lines."""
    return sum(row["test"] is not None for row in rows)


def _experiments(rows: Rows) -> dict[str, list[Row]]:
    """Return the runs of each experiment, once a seed: a look at test makes one again."""
    groups: dict[str, dict[int, Row]] = {}
    for row in rows:
        runs = groups.setdefault(row["name"], {})
        if row["test"] or row["seed"] not in runs:
            runs[row["seed"]] = row
    return {name: list(runs.values()) for name, runs in groups.items()}


def _plain(row: Row) -> str:
    """Return the experiment that trains plainly on what another trains on."""
    few = [] if row["num_lines"] is None else [str(row["num_lines"])]
    return " ".join([row["corpus"], *few, "plain"])


def _by_draw(rows: Rows, split: str) -> dict[int, float]:
    """Return the mean F1 of the runs on each draw; on all lines each seed is one of its own."""
    scores: dict[int, list[float]] = {}
    for row in rows:
        if row[split]:
            draw = row["seed"] if row["num_lines"] is None else draw_of(row["seed"])
            scores.setdefault(draw, []).append(row[split]["f1"])
    return {draw: statistics.mean(f1s) for draw, f1s in scores.items()}


def _rounded(values: list[float]) -> str:
    return f"{statistics.mean(values):.0f}" if values else ""


def _mean(values: Collection[float], digits: int) -> str:
    if not values:
        return ""
    spread = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.{digits}f}{spread}"
