"""Tests what the known answers are, and that wrong ones differ."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from serve.entities import EntityJson
from serve.repository import publish
from serve.supervisor.answers import Known, KnownAnswers
from serve.tagger import Tagger
from serve.versions.probes import LINES
from tests.serve.tiny import write_bundle

ENTITY: EntityJson = {"label": "Item", "start": 0, "end": 4, "score": 0.75}
NONE: Mapping[str, Sequence[EntityJson]] = {line: [] for line in LINES}


def worked_out(answers: KnownAnswers, first: Mapping[str, Sequence[EntityJson]]) -> Known:
    end = time.monotonic() + 60.0
    while (known := answers.of("1", first, time.monotonic())) is None:
        assert time.monotonic() < end
        time.sleep(0.05)
    return known


def test_the_embedded_tagger_gives_the_answers_in_another_process(tmp_path: Path) -> None:
    publish(write_bundle(tmp_path / "bundle"), tmp_path / "repository")
    answers = KnownAnswers(tmp_path / "repository", Path(sys.executable))
    assert answers.of("1", NONE, time.monotonic()) is None, "it is not waited for"
    known = worked_out(answers, NONE)
    truth = dict(zip(LINES, Tagger.load(tmp_path / "bundle").tag(LINES), strict=True))
    assert any(truth.values()), "otherwise this test shows little"
    right = {line: [entity.to_json() for entity in row] for line, row in truth.items()}
    assert known.differences(right) == ""
    assert known.asked()[0] in [line for line, row in truth.items() if row]
    assert answers.of("1", NONE, time.monotonic()) is known, "once per version"


def test_without_a_tagger_the_first_answer_to_every_line_stands_in(tmp_path: Path) -> None:
    answers = KnownAnswers(tmp_path, Path(sys.executable))  # nothing is published there
    first = {**NONE, LINES[0]: [ENTITY]}
    assert answers.of("1", first, time.monotonic()) is None
    time.sleep(3.0)
    few = {LINES[0]: [ENTITY]}
    assert answers.of("1", few, time.monotonic()) is None, "later ones may ask other lines"
    known = worked_out(answers, first)
    assert known.answers == first


def test_a_version_that_served_for_a_moment_leaves_no_process(tmp_path: Path) -> None:
    slow = tmp_path / "python"
    slow.write_text("#!/bin/sh\nexec sleep 600\n")
    slow.chmod(0o755)
    answers = KnownAnswers(tmp_path, slow, timeout_s=5.0)
    known = answers._known["1"] = Known(NONE)
    assert answers.of("2", NONE, 0.0) is None
    child = answers._running["2"]
    assert answers.of("1", NONE, 4.0) is known
    assert child.is_running(), "somebody may ask for it yet"
    assert answers.of("1", NONE, 6.0) is known, "the version that serves is all that is asked for"
    assert not child.is_running()
    assert not answers._running


def test_a_version_that_was_replaced_is_held_against_what_lies_on_the_disk(tmp_path: Path) -> None:
    folder = tmp_path / "tagger" / "1"
    folder.mkdir(parents=True)
    answers = KnownAnswers(tmp_path, Path("/bin/true"))
    old, new = ({**NONE, LINES[0]: [{**ENTITY, "label": label}]} for label in ("Old", "New"))
    known = worked_out(answers, old)
    assert known.differences(new) != ""
    assert not answers.forget_replaced("1"), "it is wrong, and nothing else"
    folder.rmdir()
    assert not answers.forget_replaced("1"), "what serves was loaded before"
    folder.mkdir()
    assert answers.forget_replaced("1")
    known = worked_out(answers, new)
    assert known.differences(new) == ""
    assert known.differences(old) == "", "of a replica that has not loaded it yet"
    assert known.differences(NONE) != ""
    assert not answers.forget_replaced("1")


@pytest.mark.parametrize("upgrade", ["code", "packages"])
def test_after_an_upgrade_a_version_is_held_against_what_runs_it_now(
    tmp_path: Path, upgrade: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, packages = tmp_path / "serve", tmp_path / "venv/lib/python3.11/site-packages"
    for folder in (code, packages, tmp_path / "venv/bin", tmp_path / "tagger" / "1"):
        folder.mkdir(parents=True)
    (code / "tagger.py").touch()
    python = tmp_path / "venv/bin/python"
    python.symlink_to("/bin/true")
    monkeypatch.setattr("serve.supervisor.answers._CODE", code)
    answers = KnownAnswers(tmp_path, python)
    old, new = ({**NONE, LINES[0]: [{**ENTITY, "score": score}]} for score in (0.9, 0.8))
    known = worked_out(answers, old)
    assert known.differences(new) != ""
    assert not answers.forget_replaced("1"), "it is wrong, and nothing else"
    if upgrade == "code":
        os.utime(code / "tagger.py", (1, 1))  # earlier: that of a release that was gone back to
    else:
        (packages / "onnxruntime-9.dist-info").mkdir()
    assert answers.forget_replaced("1")
    known = worked_out(answers, new)
    assert known.differences(new) == ""
    assert known.differences(old) == "", "of a replica that runs the old code still"
    assert known.differences(NONE) != "", "a wrong one is taken out, upgrade or not"
    assert not answers.forget_replaced("1"), "once for an upgrade"


@pytest.mark.parametrize("python", ["/none/bin/python", "/bin/true"])
def test_a_tagger_that_cannot_be_started_or_ends_at_once_is_done_without(
    tmp_path: Path, python: str, caplog: pytest.LogCaptureFixture
) -> None:
    first = {**NONE, LINES[0]: [ENTITY]}
    assert worked_out(KnownAnswers(tmp_path, Path(python)), first).answers == first
    assert "version 1: no embedded tagger to hold it against" in caplog.messages


def test_a_tagger_that_takes_too_long_is_not_waited_for(tmp_path: Path) -> None:
    answers = KnownAnswers(tmp_path, Path(sys.executable), timeout_s=5.0)
    first = {**NONE, LINES[0]: [ENTITY]}
    assert answers.of("1", first, 0.0) is None
    known = answers.of("1", first, 5.0)
    assert known is not None
    assert known.answers == first


@pytest.mark.parametrize(
    "got",
    [
        [],
        [{**ENTITY, "label": "Activity"}],
        [{**ENTITY, "start": 1}],
        [{**ENTITY, "end": 5}],
        [{**ENTITY, "score": 0.77}],
        [ENTITY, ENTITY],
        None,
        [3],
        [{"label": "Item"}],
    ],
)
def test_an_answer_that_differs_anywhere_is_wrong(got: object) -> None:
    known = Known({**NONE, LINES[0]: [ENTITY]})
    wrong = known.differences({LINES[0]: got})  # a server may say anything
    assert wrong.startswith(f"expected [{ENTITY}] for {LINES[0]!r}, got ")


def test_scores_may_differ_by_rounding() -> None:
    known = Known({**NONE, LINES[0]: [ENTITY]})
    assert known.differences({LINES[0]: [{**ENTITY, "score": 0.7505}]}) == ""
