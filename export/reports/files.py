"""Owns the report's files in a bundle: the page and the figures."""

from __future__ import annotations

from export.bundle import REPORTS
from export.reports.html import as_html
from export.reports.report import Report, as_json


def report_files(report: Report) -> dict[str, bytes]:
    """Return the report's files by name."""
    html, data = REPORTS
    return {html: as_html(report).encode(), data: as_json(report).encode()}
