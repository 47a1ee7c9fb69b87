"""Owns a lint's JSON."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any

from train.lint.figures import Figures, binned
from train.lint.finding import Severity
from train.lint.inspect import Inspection


def inspection_json(inspection: Inspection) -> dict[str, Any]:
    """Return a lint's findings, all of them, and figures as a JSON object."""
    return {
        "num_errors": inspection.num(Severity.ERROR),
        "num_warnings": inspection.num(Severity.WARNING),
        "files": [_figures_json(figures) for figures in inspection.files],
        "findings": [asdict(found) for found in inspection.findings],
    }


def _figures_json(figures: Figures) -> dict[str, Any]:
    # Not asdict, which takes a Counter for a mapping and makes it one of pairs.
    found = {field.name: getattr(figures, field.name) for field in fields(figures)}
    return found | {
        "num_spans": figures.labels.total(),
        "labels": dict(figures.labels.most_common()),
        "lengths": dict(sorted(figures.lengths.items())),
        "histogram": binned(figures.lengths),
    }
