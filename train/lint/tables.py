"""Owns the tables of a lint: texts in rows, for the terminal and the page alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from train.lint.figures import binned
from train.lint.finding import MEANING, Finding, Rule, Severity
from train.lint.inspect import Inspection
from train.scores.tables import Table


def files(inspection: Inspection) -> Table:
    """Return what each file holds."""
    head = ("", "format", "lines", "words", "spans", "without spans", "repeated texts")
    rows = [
        (f.part, f.format, *map(str, (f.num_lines, f.num_words, f.labels.total(), f.num_bare,
                                      f.num_repeated)))
        for f in inspection.files
    ]  # fmt: skip
    return Table(head, rows)


def labels(inspection: Inspection) -> Table:
    """Return the spans of each label in each file, the most frequent label first."""
    total = sum((f.labels for f in inspection.files), Counter[str]())
    order = sorted(total, key=lambda label: (-total[label], label))
    rows = [(label, *(str(f.labels[label]) for f in inspection.files)) for label in order]
    return Table(("spans of", *(f.part for f in inspection.files)), rows)


def lengths(inspection: Inspection) -> Table:
    """Return how many lines of each file have how many words."""
    bins = [binned(f.lengths) for f in inspection.files]
    longest = max(bins, key=len, default={})
    names = list(longest | {name: 0 for found in bins for name in found})
    names.sort(key=lambda name: int(name.partition("-")[0]))
    rows = [(name, *(str(found.get(name, 0)) for found in bins)) for name in names]
    return Table(("words a line", *(f.part for f in inspection.files)), rows)


def by_rule(inspection: Inspection) -> Iterator[tuple[str, Sequence[Finding]]]:
    """Yield a heading for each rule that was broken, and its findings; errors come first."""
    groups: dict[tuple[bool, Rule], list[Finding]] = {}
    for rule in Rule:
        for found in inspection.findings:
            if found.rule is rule:
                key = (found.severity != "error", rule)
                groups.setdefault(key, []).append(found)
    for (_, rule), found_ones in sorted(groups.items(), key=lambda item: item[0][0]):
        num = _counted(len(found_ones), found_ones[0].severity)
        yield f"{rule}: {num}: {MEANING[rule]}", found_ones


def totals(inspection: Inspection) -> str:
    """Return how many errors and warnings there are."""
    return ", ".join(_counted(inspection.num(severity), severity) for severity in Severity)


def _counted(num: int, severity: Severity) -> str:
    return f"{num} {severity}{'' if num == 1 else 's'}"
