"""Tests the choice of threads: measured, kept for this machine, gone by, and never in the way."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from serve.__main__ import main
from serve.bundle import Bundle, GraphInfo, Precision
from serve.encoding import EncodedBatch
from serve.errors import TaggingError
from serve.running import threads, tuning
from serve.running.cores import num_cores
from serve.running.threads import (
    Threads,
    default_num_threads,
    make_folder,
    notes_path,
    remember,
    remembered,
)
from serve.running.tuning import best, candidates, measure
from serve.tagger import Tagger
from tests.serve.tiny import graph_info

GRAPH = graph_info(b"graph")
DEFAULT = Threads(default_num_threads())


@pytest.fixture(autouse=True)
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return make_folder()


def test_there_is_a_thread_and_at_most_four() -> None:
    assert 1 <= default_num_threads() <= 4


def test_the_default_is_measured_first_and_a_lone_thread_never_told_not_to_spin() -> None:
    assert candidates()[0] == DEFAULT
    assert Threads(1) in candidates()
    assert Threads(1, spin=False) not in candidates()
    assert len(set(candidates())) == len(candidates())


def test_a_choice_is_found_again_for_the_same_graph_only(notes: Path) -> None:
    assert remembered(GRAPH) is None
    assert remember(GRAPH, Threads(1)) == notes
    assert remember(graph_info(b"another"), DEFAULT) == notes
    assert remembered(GRAPH) == Threads(1)
    assert remembered(graph_info(b"a third")) is None


@pytest.mark.parametrize(
    "content", ["{", "[]", "[" * 100_000, '{"x": 1}', "\xff", "{key: {num: 1}}", "{key: 3}"]
)
def test_a_damaged_note_is_passed_over(notes: Path, content: str) -> None:
    remember(GRAPH, DEFAULT)
    (key,) = json.loads(notes.read_text())
    notes.write_bytes(content.replace("key", json.dumps(key)).encode("latin-1"))
    assert remembered(GRAPH) is None
    remember(GRAPH, Threads(1))
    assert remembered(GRAPH) == Threads(1)


def test_a_note_that_lacks_a_key_says_so(notes: Path, caplog: pytest.LogCaptureFixture) -> None:
    remember(GRAPH, DEFAULT)
    notes.write_text(notes.read_text().replace('"spin"', '"twirl"'))
    with caplog.at_level(logging.WARNING):
        assert remembered(GRAPH) is None
    assert "passed over, measure again with python -m serve tune" in caplog.text


def test_more_threads_than_there_are_cores_now_are_passed_over() -> None:
    remember(GRAPH, Threads(num_cores() + 1))
    assert remembered(GRAPH) is None


def test_a_quota_bounds_threads_and_parts_choices(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as without:
        without.setattr(threads, "num_cores", lambda: 3)
        assert default_num_threads() == 3
        remember(GRAPH, Threads(1, spin=False))
    for module in (threads, tuning):
        monkeypatch.setattr(module, "num_cores", lambda: 1)
    assert default_num_threads() == 1
    assert candidates() == [Threads(1)]
    assert remembered(GRAPH) is None


def test_a_choice_of_another_processor_of_that_name_is_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fields = {"model name": "AMD EPYC", "cpu family": "25", "model": "1"}
    monkeypatch.setattr(threads, "cpu_field", fields.__getitem__)
    remember(GRAPH, Threads(1))
    assert remembered(GRAPH) == Threads(1)
    fields["cpu family"] = "26"
    assert remembered(GRAPH) is None


@pytest.mark.parametrize("cache", [None, "relative"])
def test_without_a_home_no_choice_is_kept_or_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: str | None
) -> None:
    if cache is None:
        monkeypatch.delenv("XDG_CACHE_HOME")
    else:
        monkeypatch.setenv("XDG_CACHE_HOME", cache)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # as without HOME, and unknown
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert notes_path() is None
    assert remembered(GRAPH) is None
    with pytest.raises(TaggingError, match=r"got no home; set XDG_CACHE_HOME to one"):
        remember(GRAPH, Threads(1))
    assert not list(Path().iterdir())


class Sleeper:
    """A backend whose time on the clock below is its choice's."""

    now = 0.0

    def __init__(self, threads: Threads) -> None:
        self._seconds = 1.0 if threads.num == 1 else 3.0

    def logits(self, batch: EncodedBatch) -> NDArray[np.float32]:
        Sleeper.now += self._seconds
        return np.zeros((*batch.input_ids.shape, 1), dtype=np.float32)


def test_the_median_of_each_choice_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "perf_counter", lambda: Sleeper.now)
    one = np.ones((1, 8), dtype=np.int64)
    seconds = measure(Sleeper, [Threads(2), Threads(1)], [EncodedBatch(one, one)])
    assert seconds == {Threads(2): 3.0, Threads(1): 1.0}


def test_a_choice_must_beat_the_default_by_more_than_noise() -> None:
    assert best({DEFAULT: 1.0, Threads(8): 0.96}) == DEFAULT
    assert best({DEFAULT: 1.0, Threads(8): 0.94}) == Threads(8)


def graph_of(bundle: Path) -> GraphInfo:
    return Bundle.load(bundle).graph(Precision.FP32)


def test_the_tagger_goes_by_the_note_and_answers_the_same(
    bundle: Path, caplog: pytest.LogCaptureFixture
) -> None:
    texts = ["fix pump", "replace oil valve, leak", "hose"]
    before = Tagger.load(bundle).tag(texts)
    remember(graph_of(bundle), Threads(1))
    with caplog.at_level(logging.INFO):
        assert Tagger.load(bundle).tag(texts) == before
    assert "Threads(num=1, spin=True)" in caplog.text


def test_the_command_keeps_what_it_prints(
    bundle: Path, notes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tune", "--bundle", str(bundle), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert [Threads(m["num"], m["spin"]) for m in result["measured"]] == candidates()
    assert remembered(graph_of(bundle)) == Threads(**result["choice"])
    assert main(["tune", "--bundle", str(bundle)]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("  threads  spin  p50 ms\n")
    assert out.count("*") == 1
    assert str(notes) in err


def test_a_choice_that_cannot_be_kept_is_printed_all_the_same(
    bundle: Path, notes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    notes.mkdir()
    assert main(["tune", "--bundle", str(bundle), "--json"]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["choice"]
    assert err.splitlines()[-1].startswith(f"error: {notes}: ")


def test_a_folder_that_cannot_be_written_to_is_told_before_anything_is_measured(
    bundle: Path, notes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    notes.parent.rmdir()
    notes.parent.write_text("no folder")
    assert main(["tune", "--bundle", str(bundle), "--json"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        f"error: {notes.parent}: expected a writable folder, got File exists; "
        "set XDG_CACHE_HOME to one, here and where the bundle is loaded\n"
    )


def test_a_bundle_that_is_not_there_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tune", "--bundle", str(tmp_path / "none")]) == 1
    assert capsys.readouterr().err.count("\n") == 1
