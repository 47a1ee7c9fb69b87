"""Tests how a version's folder comes and goes: in the making, gone, or a link."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from serve.versions.folders import clear, pinned_key, put, remove, show_changed, staged, versions_in


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "tagger"
    folder.mkdir()
    return folder


def test_a_folder_in_the_making_lies_where_one_rename_gives_it_its_name(model: Path) -> None:
    with staged(model) as staging:
        assert staging.parent == model
        (staging / "labels.json").write_text("[]")
        assert versions_in(model) == []
        put(staging, model / "1")
    assert versions_in(model) == [1]
    assert [path.name for path in model.iterdir()] == ["1"]


@pytest.mark.parametrize("ahead_s", [-1.0, 3_600.0])
def test_settings_are_the_newest_where_times_lie_ahead_of_the_clock_and_as_they_were_else(
    model: Path, ahead_s: float
) -> None:
    settings, graph = model / "config.pbtxt", model / "1" / "model.onnx"
    graph.parent.mkdir()
    graph.touch()
    settings.touch()
    newest_s = time.time() + ahead_s
    for path in (graph, settings, graph.parent, model):
        os.utime(path, (newest_s, newest_s))
    for before_s in (newest_s, newest_s + 1):  # a step later the next one has to be seen, too
        show_changed(model)
        after_s = settings.stat().st_mtime
        assert after_s == pytest.approx(before_s + 1 if ahead_s > 0 else newest_s, abs=1e-3)


def test_whatever_bears_the_name_of_a_folder_in_the_making_goes(
    model: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (model / ".staging-file").write_text("of an archive, say")
    (model / ".staging-link").symlink_to(outside)
    (model / ".staging-folder").mkdir()
    clear(model)
    assert list(model.iterdir()) == []
    assert outside.is_dir()


def test_what_is_not_ours_to_remove_stays_and_hinders_nothing(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step of another user's left it."""
    (model / ".staging-gone-2").mkdir()
    (model / ".staging-file").touch()

    def refuse(*arguments: object, **flags: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as another:
        another.setattr(os, "rmdir", refuse)
        another.setattr(os, "unlink", refuse)
        clear(model)
    assert len(list(model.iterdir())) == 2
    clear(model)
    assert list(model.iterdir()) == []


def test_a_link_goes_and_what_it_leads_to_stays(model: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "labels.json").write_text("[]")
    (model / "7").symlink_to(outside)
    remove(model / "7")
    assert list(model.iterdir()) == []
    assert (outside / "labels.json").exists()
    clear(model)


def test_a_key_that_cannot_be_read_is_needed_all_the_same(model: Path) -> None:
    assert pinned_key(model) is None
    key = model / "public_key.pem"
    key.symlink_to(model / "unmounted.pem")
    assert pinned_key(model) == key, "a dangling link is no permission"
