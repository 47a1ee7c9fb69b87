"""Owns the gate: what a graph may lose to PyTorch and still be published.

It stands on what users lose: entity F1 over all dev lines, whatever its confidence interval, which
with few lines is wide: a graph must not pass because nobody knows. A label closes it by itself only
where its loss is also told from chance, i.e. where the interval of the loss is above 0: of a label
of 40 entities one that is lost costs 1.3 points, and of many labels some lose one or two while
others gain them. So a label's loss is seen from about four texts on; it counts in the whole.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from export.config import FP32_ATOL, ExportConfig
from export.parity import ParityReport
from serve.bootstrap import F1Change
from serve.bundle import Precision
from serve.errors import ParityError

MIN_LABEL_ENTITIES = 30
"""Gold entities from which on a label is held to its own allowance; its loss is told from chance
by the interval, not by their number."""
_ROUNDING = 1e-9  # a loss that equals the allowance passes whatever way its digits were rounded
_PINNED = "use the pinned versions of torch and transformers"


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a graph may lose of PyTorch's entity F1.

    Attributes:
        points: Over all labels, in points (1 point = 0.01).
        label_points: On each label, where the loss is told from chance.
        atol: Largest difference of a logit from PyTorch's; asked of a FP32 graph only.
    """

    points: float
    label_points: float
    atol: float = FP32_ATOL

    @classmethod
    def of(cls, config: ExportConfig, precision: Precision) -> Allowance:
        """Return what an export lets a graph of a precision lose."""
        return cls(
            config.allowed_loss_points(precision),
            config.allowed_label_loss_points(precision),
            config.atol,
        )


def gated_labels(report: ParityReport) -> dict[str, F1Change]:
    """Return the labels with enough entities to be held to their allowance."""
    changes = report.f1.by_label.items()
    return {label: c for label, c in changes if c.num_gold >= MIN_LABEL_ENTITIES}


def check_gate(report: ParityReport, precision: Precision, allowed: Allowance) -> None:
    """Close the gate on a graph that costs entity F1.

    Raises:
        ParityError: If the graph lost more than allowed over all labels, or on one and not by
            chance, is not finite, or is FP32 and its logits differ by more than the tolerance.
    """
    if not np.isfinite(report.max_abs_diff):
        raise ParityError(f"{precision} graph: expected finite logits, got NaN or infinity")
    _check_loss(precision, report.f1.overall, allowed.points, "entity F1", "--allow-f1-loss")
    for label, change in gated_labels(report).items():
        flag = "--allow-label-f1-loss"
        if change.interval_points[0] > 0:
            _check_loss(precision, change, allowed.label_points, f"F1 on {label}", flag)
    if precision == Precision.FP32 and report.max_abs_diff > allowed.atol:
        raise ParityError(
            f"fp32 graph: expected logits within {allowed.atol:g} of PyTorch's, "
            f"got {report.max_abs_diff:.2g}; {_PINNED}, or allow it with --atol"
        )


def _check_loss(
    precision: Precision, change: F1Change, allowed: float, figure: str, flag: str
) -> None:
    if change.loss_points > allowed + _ROUNDING:
        enough = math.ceil(change.loss_points * 10 - _ROUNDING) / 10
        remedy = f"leave --{precision} out, or allow it with {flag} {enough:g}"
        raise ParityError(
            f"{precision} graph: expected to lose at most {allowed:g} points of {figure}, "
            f"got {change.loss_points:.2f} ({100 * change.before:.2f} to "
            f"{100 * change.after:.2f}); {_PINNED if precision is Precision.FP32 else remedy}"
        )
