"""Owns the table of all runs: means over seeds, their spread, and how often test was looked at."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from typing import Any

Rows = Iterable[Mapping[str, Any]]


def format_table(rows: Rows) -> str:
    """Return one line for each experiment as Markdown, in the order of its first run."""
    groups: dict[str, dict[int, Mapping[str, Any]]] = {}
    for row in rows:
        runs = groups.setdefault(row["name"], {})
        if row["test"] or row["seed"] not in runs:  # once a seed: a look at test makes it again
            runs[row["seed"]] = row
    lines = [
        "| experiment | seeds | dev F1 | test F1 | 95 % interval (first seed) | CPU s a run "
        "| s of training | peak MB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, runs in groups.items():
        group = list(runs.values())
        looked = [row["test"] for row in group if row["test"]]
        interval = "{:.3f} to {:.3f}".format(*looked[0]["interval"]) if looked else ""
        cells = [
            name,
            str(len(group)),
            _mean([row["dev"]["f1"] for row in group]),
            _mean([score["f1"] for score in looked]),
            interval,
            _rounded([row["cpu_s"] for row in group]),
            _rounded([row["training_s"] for row in group if "training_s" in row]),
            _rounded([row["peak_memory_bytes"] / 1e6 for row in group if "training_s" in row]),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def num_looks(rows: Rows) -> int:
    """Return how many runs looked at test lines."""
    return sum(row["test"] is not None for row in rows)


def _rounded(values: list[float]) -> str:
    return f"{statistics.mean(values):.0f}" if values else ""


def _mean(values: list[float]) -> str:
    if not values:
        return ""
    spread = f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.4f}{spread}"
