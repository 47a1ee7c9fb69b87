"""Owns how a drift report looks in the terminal."""

from __future__ import annotations

from serve.display.render import printable
from train.drift.assess import Drift
from train.drift.chance import Finding
from train.scores.tables import Table, aligned


def drift_text(drift: Drift) -> str:
    """Return a report as text, the verdict last."""
    parts = [
        f"{drift.num_new} new lines against {drift.num_reference} held out; "
        f"left out are {drift.num_known} new lines that are known or came before, and "
        f"{drift.num_again} held-out ones that are among the new"
    ]
    if drift.findings:
        head = ("measure", "held out", "new", "worse by", "by chance", "p", "")
        parts.append(aligned(Table(head, [_row(finding) for finding in drift.findings])))
    if drift.unseen_words:
        words = ", ".join(f"{printable(word)} ({num})" for word, num in drift.unseen_words)
        parts.append(f"words that the train lines have not: {words}")
    return "\n\n".join([*parts, drift.verdict])


def _row(finding: Finding) -> list[str]:
    reference = "" if finding.reference is None else f"{finding.reference:.4f}"
    return [
        finding.measure,
        reference,
        f"{finding.new:.4f}",
        f"{finding.change:.4f}",
        f"{finding.by_chance:.4f}",
        f"{finding.p_value:.4f}",
        "drift" if finding.is_drift else "",
    ]
