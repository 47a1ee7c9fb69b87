"""Owns the record of a decision: what was compared, by which rule, and what came of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from serve.bundle import sha256
from train.evaluation import tables
from train.evaluation.as_json import difference_json
from train.evaluation.significance import Differences
from train.record import versions
from train.refit.champion import Champion
from train.refit.config import RefitConfig
from train.refit.contest import Asked
from train.refit.gate import NEW, OLD, Verdict
from train.refit.intake import Intake
from train.refit.mixture import Counts
from train.scores.tables import Table, aligned

DECISION, TEXT = "decision.json", "decision.txt"


@dataclass(frozen=True, slots=True, eq=False)
class Decision:
    """A decision.

    Attributes:
        config: What was asked for.
        champion: Who defended.
        new: The new lines.
        counts: Where they went.
        asked: What both answered.
        verdict: What the rule makes of it.
        training: How the challenger came about, as JSON.
        published: Version in the model repository, where it went into one.
    """

    config: RefitConfig
    champion: Champion
    new: Intake
    counts: Counts
    asked: Asked
    verdict: Verdict
    training: dict[str, Any]
    published: int | None = None

    @property
    def outcome(self) -> str:
        """The decision in a line."""
        first, *more = self.verdict.reasons
        word = "accepted" if self.verdict.accepted else "refused"
        return f"{word}: {first}" + (f" (and {len(more)} more)" if more else "")

    def summary(self) -> dict[str, Any]:
        """Return who defended against what, and the outcome, as JSON."""
        return {
            "accepted": self.verdict.accepted,
            "wins": self.verdict.wins,
            "losses": list(self.verdict.losses),
            "doubts": list(self.verdict.doubts),
            "reasons": list(self.verdict.reasons),
            "rule": asdict(self.config.rule),
            "champion": {
                "bundle": str(self.config.champion),
                "weights_sha256": self.champion.weights_sha256,
            },
            "new": [{"file": f.name, "sha256": _digest(f)} for f in self.new.files],
            "lines": asdict(self.counts),
        }

    def to_json(self) -> str:
        """Return the whole record as JSON text."""
        whole = self.summary() | {
            "published": self.published,
            "agreement": [
                asdict(a) | {"share": a.share} for a in (self.asked.old, *self.asked.slices)
            ],
            "set_aside": [asdict(found) for found in self.new.set_aside],
            "f1": {
                OLD: self._test(OLD, self.asked.contest.old),
                NEW: self._test(NEW, self.asked.contest.new),
                "both": self._test("both", self.asked.contest.both),
            },
            "training": self.training,
            "versions": versions(),
        }
        return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"

    def to_text(self) -> str:
        """Return the tables and the outcome, for a reader."""
        return "\n\n".join([*self._tables(), *self.verdict.reasons[1:], self.outcome])

    def write(self, folder: Path) -> None:
        """Write the record into a folder, as JSON and as text."""
        for name, text in ((DECISION, self.to_json()), (TEXT, self.to_text() + "\n")):
            (folder / name).write_bytes(encoded(text))

    def _tables(self) -> Iterator[str]:
        rows = [
            [a.name, str(a.num_spans), f"{a.share:.1%}"]
            for a in (self.asked.old, *self.asked.slices)
        ]
        head = ("spans that the champion marks too", "number", "with its label")
        yield aligned(Table(head, rows))
        for test, found in ((OLD, self.asked.contest.old), (NEW, self.asked.contest.new)):
            table = aligned(tables.differences(found, "champion", "challenger"))
            yield f"on the {test} test lines; F1 and gain in points, p not adjusted\n{table}"

    def _test(self, test: str, found: Differences) -> dict[str, Any]:
        adjusted = self.verdict.adjusted_p
        return {
            "overall": difference_json(found.overall),
            "by_label": {
                label: difference_json(difference)
                | ({"adjusted_p": adjusted[test, label]} if (test, label) in adjusted else {})
                for label, difference in found.by_label.items()
            },
        }


def encoded(text: str) -> bytes:
    """Return a text as UTF-8; bytes of a file's name that are no text as what JSON reads."""
    return text.encode(errors="backslashreplace")


def _digest(path: Path) -> str | None:
    return sha256(path.read_bytes()) if path.is_file() else None
