"""Owns how a curve looks in the terminal, as a Markdown table."""

from __future__ import annotations

from collections.abc import Sequence

from train.curve.summary import Spread, Step


def curve_text(steps: Sequence[Step]) -> str:
    """Return a table with a row for each size of each curve."""
    has_test = any(step.test_f1 for step in steps)
    has_picks = any(step.random_lines for step in steps)
    head = ["strategy", "lines by", "lines", "words", "spans", "draws", "dev F1", "least to most"]
    head += ["test F1"] * has_test + ["random lines for as much"] * has_picks
    rows = [head, ["---"] * 2 + ["--:"] * (len(head) - 2)]
    for step in steps:
        rows.append(
            [
                step.strategy, step.pick, str(step.num_lines), f"{step.num_words:.0f}",
                f"{step.num_spans:.0f}", str(step.num_draws), _mean(step.dev_f1),
                f"{step.dev_f1.least:.3f} to {step.dev_f1.most:.3f}",
                *([_mean(step.test_f1) if step.test_f1 else ""] * has_test),
                *([_random_lines(step)] * has_picks),
            ]
        )  # fmt: skip
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _mean(spread: Spread) -> str:
    around = "" if spread.deviation is None else f" ± {spread.deviation:.3f}"
    return f"{spread.mean:.3f}{around}"


def _random_lines(step: Step) -> str:
    if step.random_lines is None:
        return ""
    saved = 1 - step.num_lines / step.random_lines
    return f"{step.random_lines:.0f} ({saved:+.0%} saved)".replace("+", "")
