"""Owns one month of the year: what the drift report says, what refit decides, and the row of it.

Both are commands in processes of their own. What is refused for want of a win comes again together
with the next month's lines; what is poisoned is looked at, mended, and comes again too.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.year.slices import ARRIVING, BARE, LABELLED, POISONED, corpus, name_of, write_slices
from serve.scoring import score_tagger
from train.trained.model import load_trained

BUILD = Path("build/year")
SLICES = BUILD / "slices"
FIRST = ("--dev", "0.1", "--test", "0.2")
"""Shares of the first champion's lines that are held out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """A month.

    Attributes:
        month: Its number; 0 for the first champion's training.
        offered: Names of the slices of lines that refit was given.
        drift: What drift says of the month's lines, before they are labelled.
        is_due: Whether a refit is due by that.
        accepted: Whether the challenger took the champion's place.
        outcome: Why, in a line.
        lines: Where the lines went.
        champion: Folder of the champion from now on.
        f1: Its entity F1 on the held-out test of mwo2kg, in [0, 1].
        f1_arriving: The same on the test lines about the machine that is bought in the year.
        pending: Slices to offer next month again.
        refit_s: Duration of the refit, export included.
    """

    month: int
    offered: list[str]
    drift: str
    is_due: bool
    accepted: bool
    outcome: str
    lines: dict[str, int]
    champion: str
    f1: float
    f1_arriving: float
    pending: list[str]
    refit_s: float


def first_month() -> Month:
    """Train and export the first champion."""
    shutil.rmtree(BUILD, ignore_errors=True)
    write_slices(SLICES)
    parts, folder = BUILD / "parts", BUILD / name_of(0)
    started = time.monotonic()
    _run("train", "split", str(SLICES / name_of(0) / LABELLED), *FIRST, "--output", str(parts))
    _run("train", "--data", str(parts), "--output", str(folder / "checkpoint"))
    checkpoint, bundle = str(folder / "checkpoint"), str(folder / "bundle")
    _run("export", "--model", checkpoint, "--output", bundle)
    f1, f1_arriving = _scores(folder)
    return Month(
        month=0, offered=[name_of(0)], drift="", is_due=False, accepted=True,
        outcome="the first champion", lines={}, champion=str(folder), f1=f1,
        f1_arriving=f1_arriving, pending=[], refit_s=round(time.monotonic() - started, 1),
    )  # fmt: skip


def next_month(last: Month) -> Month:
    """Live through the month after another."""
    month, champion = last.month + 1, Path(last.champion)
    name = name_of(month, is_poisoned=month == POISONED)
    drift = _run(
        "train", "drift", "--reference", str(champion / "bundle"), "--lines",
        str(SLICES / name / BARE), "--json",
    )  # fmt: skip
    offered, output = [*last.pending, name], BUILD / name_of(month)
    shutil.rmtree(output, ignore_errors=True)
    started = time.monotonic()
    decision = _run(
        "train", "refit", "--champion", str(champion / "bundle"), "--output", str(output),
        "--new", *(str(SLICES / slice_ / LABELLED) for slice_ in offered), "--json",
        may_refuse=True,
    )  # fmt: skip
    refit_s = round(time.monotonic() - started, 1)
    accepted = decision["accepted"]
    folder = output if accepted else champion
    f1, f1_arriving = _scores(folder) if accepted else (last.f1, last.f1_arriving)
    return Month(
        month=month, offered=offered, drift=drift["verdict"], is_due=drift["is_due"],
        accepted=accepted, outcome=decision["reasons"][0], lines=decision["lines"],
        champion=str(folder), f1=f1, f1_arriving=f1_arriving,
        pending=[] if accepted else [*last.pending, name_of(month)], refit_s=refit_s,
    )  # fmt: skip


def _scores(folder: Path) -> tuple[float, float]:
    """Return a champion's F1 on all held-out test lines and on those about the new machine."""
    test = corpus().test
    assert test is not None
    tagger = load_trained(folder / "checkpoint").tagger()
    arriving = [line for line in test.examples if ARRIVING.search(line.text.lower())]
    return (
        score_tagger(tagger, test.examples).micro.f1,
        score_tagger(tagger, arriving).micro.f1,
    )


def _run(package: str, *arguments: str, may_refuse: bool = False) -> dict[str, Any]:
    """Return the JSON that a command prints, if any.

    Raises:
        subprocess.CalledProcessError: If it fails; it has said why.
    """
    done = subprocess.run(
        [sys.executable, "-m", package, *arguments],
        stdout=subprocess.PIPE,
        encoding="utf-8",
        check=False,
    )
    refused = may_refuse and done.returncode == 1 and done.stdout.startswith("{")
    if done.returncode and not refused:
        raise subprocess.CalledProcessError(done.returncode, arguments)
    value: dict[str, Any] = json.loads(done.stdout) if done.stdout.startswith("{") else {}
    return value
