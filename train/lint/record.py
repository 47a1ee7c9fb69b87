"""Owns a lint's JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from train.lint.figures import binned
from train.lint.finding import Severity
from train.lint.inspect import Inspection


def inspection_json(inspection: Inspection) -> dict[str, Any]:
    """Return a lint's findings, all of them, and figures as a JSON object."""
    return {
        "num_errors": inspection.num(Severity.ERROR),
        "num_warnings": inspection.num(Severity.WARNING),
        "files": [
            asdict(figures)
            | {
                "num_spans": figures.labels.total(),
                "lengths": dict(sorted(figures.lengths.items())),
                "histogram": binned(figures.lengths),
            }
            for figures in inspection.files
        ],
        "findings": [asdict(found) for found in inspection.findings],
    }
