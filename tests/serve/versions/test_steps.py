"""Tests the steps of versions on the disk: who serves, who is kept, and what is refused."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import resource
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from serve.encoder_graph import TENSORRT_GRAPH
from serve.entities import Entity
from serve.errors import BundleError, ServerError
from serve.labels import Tags
from serve.repository import promote, publish, rollback, settle, traffic_of, versions
from serve.tagger import Tagger
from serve.versions import settling
from serve.versions.folders import versions_in
from serve.versions.history import Step, read_events
from serve.versions.servers import Running
from serve.versions.traffic import Traffic
from tests.serve.tiny import (
    MAX_TOKENS,
    TAGS,
    add_tensorrt_graph,
    replace_file,
    tiny_graph,
    write_bundle,
)

LINES = ["fix pump", "replace the broken hose"]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return tmp_path / "repository"


def another(folder: Path, seed: int) -> Path:
    """Return a bundle with answers of its own."""
    bundle = write_bundle(folder / f"bundle-{seed}")
    replace_file(bundle, "model_fp32.onnx", tiny_graph(seed=seed))
    return bundle


def kept(repository: Path) -> list[int]:
    return versions_in(repository / "tagger" / "kept")


def answers(repository: Path, version: int) -> list[list[Entity]]:
    return Tagger.load(repository / "tagger" / str(version)).tag(LINES)


def test_the_first_version_serves_and_the_next_is_tried_then_promoted(
    bundle: Path, repository: Path
) -> None:
    assert publish(bundle, repository, share=0.1) == 1
    assert traffic_of(repository) == Traffic(stable=1)
    assert publish(bundle, repository, share=0.1) == 2
    assert traffic_of(repository) == Traffic(stable=1, canary=2, share=0.1)
    assert versions(repository) == [1, 2], "both are served"
    assert promote(repository, share=0.5) == 2
    assert traffic_of(repository).share == 0.5
    assert promote(repository) == 2
    assert traffic_of(repository) == Traffic(stable=2, kept=(1,))
    assert (versions(repository), kept(repository)) == ([2], [1])


def test_the_previous_two_versions_are_kept_and_no_more(bundle: Path, repository: Path) -> None:
    for _ in range(5):
        publish(bundle, repository)
    assert (versions(repository), kept(repository)) == ([5], [3, 4])


def test_rollback_gives_the_version_before_a_new_number_twice_and_no_further(
    tmp_path: Path, repository: Path
) -> None:
    first, second, third = (another(tmp_path, seed) for seed in (1, 2, 3))
    for bundle in (first, second, third):
        publish(bundle, repository)
    assert answers(repository, 3) == Tagger.load(third).tag(LINES)
    assert rollback(repository) == 4
    assert answers(repository, 4) == Tagger.load(second).tag(LINES) != answers_of(third)
    assert traffic_of(repository) == Traffic(stable=4, kept=(1,))
    assert rollback(repository) == 5
    assert answers(repository, 5) == Tagger.load(first).tag(LINES)
    assert (versions(repository), kept(repository)) == ([5], [])
    with pytest.raises(ServerError, match="expected a version to go back to, got none"):
        rollback(repository)


def answers_of(bundle: Path) -> list[list[Entity]]:
    return Tagger.load(bundle).tag(LINES)


def test_rollback_of_a_trial_leaves_no_trace_but_in_the_history(
    tmp_path: Path, repository: Path
) -> None:
    first, second = another(tmp_path, 1), another(tmp_path, 2)
    publish(first, repository)
    publish(second, repository, share=0.3)
    assert rollback(repository) == 3
    assert traffic_of(repository) == Traffic(stable=3)
    assert answers(repository, 3) == answers_of(first)
    assert (versions(repository), kept(repository)) == ([3], [])
    assert read_events(repository)[-1].note == "1 again"


def test_one_trial_at_a_time_and_no_share_is_taken_back(bundle: Path, repository: Path) -> None:
    publish(bundle, repository)
    with pytest.raises(ServerError, match="on trial, got none; version 1 serves all callers"):
        promote(repository)
    publish(bundle, repository, share=0.5)
    with pytest.raises(ServerError, match="expected no version on trial, got 2; promote it or"):
        publish(bundle, repository)
    with pytest.raises(
        ServerError, match=r"a share of at least 0\.5, .* got 0\.2; python -m serve"
    ):
        promote(repository, share=0.2)
    assert traffic_of(repository) == Traffic(stable=1, canary=2, share=0.5)


@pytest.mark.parametrize("step", [promote, rollback])
def test_a_mistyped_repository_is_told_and_not_made(
    step: Callable[[Path], int], repository: Path
) -> None:
    with pytest.raises(ServerError, match=r"tagger: expected a published version, got no folder;"):
        step(repository)
    assert not repository.exists()


@pytest.mark.parametrize("share", [-0.1, float("nan")])
def test_a_share_that_is_none_is_refused_and_changes_nothing(
    bundle: Path, repository: Path, share: float
) -> None:
    publish(bundle, repository)
    with pytest.raises(ValueError, match="expected a share"):
        publish(bundle, repository, share=share)
    with pytest.raises(ValueError, match="expected a share"):
        promote(repository, share=share)
    assert versions(repository) == [1]
    assert traffic_of(repository) == Traffic(stable=1)


def test_labels_that_are_not_as_many_as_the_logits_are_refused_before_anything_is_written(
    bundle: Path, repository: Path
) -> None:
    replace_file(bundle, "model_fp32.onnx", tiny_graph(num_tags=len(TAGS) - 2))
    with pytest.raises(BundleError, match=r"labels\.json: expected 5 tags, as many as model_fp32"):
        publish(bundle, repository)
    assert not repository.exists()


def test_a_damaged_version_that_serves_does_not_stop_the_next(
    bundle: Path, repository: Path
) -> None:
    publish(bundle, repository)
    (repository / "tagger" / "1" / "labels.json").write_text("{}")
    assert publish(bundle, repository) == 2
    with pytest.raises(BundleError, match=r"kept/1/labels\.json: expected SHA-256"):
        rollback(repository)
    assert versions(repository) == [2]


def test_a_repository_from_before_there_was_a_history_serves_its_newest(
    bundle: Path, repository: Path
) -> None:
    for _ in range(4):
        publish(bundle, repository)
    for path in (repository / "tagger" / "kept").iterdir():
        path.rename(repository / "tagger" / path.name)
    (repository / "tagger" / "kept").rmdir()
    (repository / "history.jsonl").unlink()
    assert versions(repository) == [2, 3, 4]
    settle(repository)
    assert (versions(repository), kept(repository)) == ([4], [2, 3])
    assert publish(bundle, repository) == 5
    assert kept(repository) == [2, 3, 4], "what no history knows is not removed"


def test_a_version_that_is_removed_by_hand_takes_none_of_the_kept_with_it(
    bundle: Path, repository: Path
) -> None:
    for _ in range(3):
        publish(bundle, repository)
    shutil.rmtree(repository / "tagger" / "3")
    settle(repository)
    assert traffic_of(repository) == Traffic(kept=(2, 1))
    assert kept(repository) == [1, 2]
    assert rollback(repository) == 4
    assert traffic_of(repository) == Traffic(stable=4, kept=(1,))


def test_a_trial_that_is_removed_by_hand_has_no_callers_and_is_not_promoted(
    bundle: Path, repository: Path
) -> None:
    publish(bundle, repository)
    publish(bundle, repository)
    publish(bundle, repository, share=0.1)
    shutil.rmtree(repository / "tagger" / "3")
    assert traffic_of(repository) == Traffic(stable=2, kept=(1,))
    with pytest.raises(ServerError, match="expected a version on trial, got none"):
        promote(repository)
    assert read_events(repository)[-1].note == "what was agreed is gone"
    assert publish(bundle, repository, share=0.1) == 4, "and the next trial is one"
    assert traffic_of(repository) == Traffic(stable=2, canary=4, share=0.1, kept=(1,))


@pytest.mark.parametrize("num_bytes", [0, -1], ids=["all of it", "its last line"])
def test_without_its_history_a_repository_can_still_go_back(
    bundle: Path, repository: Path, num_bytes: int
) -> None:
    for _ in range(3):
        publish(bundle, repository)
    path = repository / "history.jsonl"
    path.write_bytes(path.read_bytes()[:num_bytes])
    settle(repository)
    assert traffic_of(repository) == Traffic(stable=3, kept=(2, 1))
    assert rollback(repository) == 4
    assert traffic_of(repository) == Traffic(stable=4, kept=(1,))


def interrupt(bundle: Path, repository: Path) -> None:
    """Leave what a publication leaves that dies just before its line in the history."""
    publish(bundle, repository, share=0.1)
    path = repository / "history.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]))


def test_an_interrupted_trial_beside_what_no_history_tells_of_gets_no_caller(
    bundle: Path, repository: Path
) -> None:
    publish(bundle, repository)
    (repository / "history.jsonl").unlink()
    interrupt(bundle, repository)
    assert versions(repository) == [1, 2], "otherwise this shows little"
    assert traffic_of(repository) == Traffic(stable=1)
    settle(repository)
    assert versions(repository) == [1]
    assert [event.note for event in read_events(repository)] == [
        "found without a history",
        "its publication was interrupted",
    ]


def test_a_first_publication_that_is_interrupted_serves_once_it_is_whole(
    bundle: Path, repository: Path
) -> None:
    """As without the interruption: nobody else could serve."""
    interrupt(bundle, repository)
    assert traffic_of(repository) == Traffic(stable=1)
    settle(repository)
    assert traffic_of(repository) == Traffic(stable=1)
    interrupt(bundle, repository)
    assert traffic_of(repository) == Traffic(stable=1), "the next one is a trial"


def test_a_link_with_a_number_is_no_version(bundle: Path, repository: Path) -> None:
    publish(bundle, repository)
    (repository / "tagger" / "7").symlink_to(repository / "tagger" / "1")
    assert versions(repository) == [1]
    assert publish(bundle, repository) == 8


@pytest.mark.parametrize("name", ["001", "\N{ARABIC-INDIC DIGIT ONE}", "9" * 20])
def test_a_folder_whose_name_triton_takes_for_no_number_is_no_version(
    bundle: Path, repository: Path, name: str
) -> None:
    publish(bundle, repository)
    (repository / "tagger" / name).mkdir()
    assert versions(repository) == [1]
    assert publish(bundle, repository) == 2
    assert (versions(repository), kept(repository)) == ([2], [1])


def test_the_history_tells_who_did_what_with_which_bundle(bundle: Path, repository: Path) -> None:
    publish(bundle, repository)
    publish(bundle, repository, share=0.1)
    promote(repository)
    rollback(repository)
    events = read_events(repository)
    assert [(event.step, event.version) for event in events] == [
        (Step.PUBLISH, 1),
        (Step.PUBLISH, 2),
        (Step.PROMOTE, 2),
        (Step.ROLLBACK, 3),
    ]
    assert len({event.bundle for event in events}) == 1
    assert all(len(event.bundle) == 64 and "@" in event.who for event in events)
    assert [event.time for event in events] == sorted(event.time for event in events)


def test_a_line_that_a_crash_cut_is_dropped_and_the_one_before_holds(
    bundle: Path, repository: Path
) -> None:
    publish(bundle, repository)
    path = repository / "history.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:-1])
    assert traffic_of(repository) == Traffic(stable=1)
    publish(bundle, repository)
    lines = path.read_bytes().splitlines()
    assert [json.loads(line)["version"] for line in lines] == [1, 2]


@pytest.mark.parametrize("num_bytes", [1, 40])
def test_a_trial_whose_line_a_crash_cut_has_no_callers(
    bundle: Path, repository: Path, num_bytes: int
) -> None:
    """Also where all but the line feed is there: a line holds from its end on."""
    publish(bundle, repository)
    publish(bundle, repository, share=0.1)
    path = repository / "history.jsonl"
    path.write_bytes(path.read_bytes()[:-num_bytes])
    assert traffic_of(repository) == Traffic(stable=1)


@contextlib.contextmanager
def files_of_at_most(num_bytes: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_what_an_interrupted_publication_left_goes_although_there_is_no_space_for_its_line(
    bundle: Path, repository: Path
) -> None:
    """Or no server could start again until somebody had made space."""
    publish(bundle, repository)
    interrupt(bundle, repository)
    size = (repository / "history.jsonl").stat().st_size
    with files_of_at_most(size + 20):
        with pytest.raises(ServerError, match="No space left on device"):
            settle(repository)
        settle(repository)
    assert versions(repository) == [1]
    assert publish(bundle, repository) > 1


@pytest.mark.parametrize("code", [errno.EROFS, errno.EPERM])
def test_a_repository_that_is_only_to_be_read_is_served_as_it_is(
    repository: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def failing(repository: Path) -> bool:
        raise OSError(code, os.strerror(code))

    (repository / "tagger").mkdir(parents=True, exist_ok=True)
    monkeypatch.setattr(settling, "settle_locked", failing)
    settle(repository)
    monkeypatch.undo()
    assert versions(repository) == []


def test_where_a_version_nobody_agreed_on_cannot_be_taken_away_nothing_is_served(
    bundle: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(bundle, repository)
    interrupt(bundle, repository)

    def failing(path: Path) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(settling, "remove", failing)
    monkeypatch.setattr(settling, "record", lambda *_, **__: None)
    with pytest.raises(ServerError, match=r"expected a writable folder, got .*Read-only file sys"):
        settle(repository)
    assert versions(repository) == [1, 2]


def test_a_history_that_is_not_for_us_to_read_is_told_as_that(
    bundle: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(bundle, repository)
    whole = Path.open

    def refused(path: Path, *arguments: Any) -> Any:
        if path.name == "history.jsonl":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return whole(path, *arguments)

    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(ServerError, match=r"history\.jsonl: expected a readable file, got Permis"):
        settle(repository)


def test_a_line_that_does_not_reach_the_disk_does_not_hold(
    bundle: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(bundle, repository)
    publish(bundle, repository, share=0.1)
    history = repository / "history.jsonl"
    before = history.read_bytes()

    def failing(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(ServerError, match=r"expected a writable folder, got .*Input/output error"):
        promote(repository)
    monkeypatch.undo()
    assert history.read_bytes() == before
    with (
        files_of_at_most(len(before) + 20),
        pytest.raises(ServerError, match="No space left on device"),
    ):
        promote(repository)
    assert history.read_bytes() == before
    assert promote(repository) == 2


def test_no_server_keeps_a_version_that_could_neither_be_agreed_on_nor_refused(
    bundle: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(bundle, repository)
    server = Noting(repository)

    def full(*arguments: object, **fields: object) -> None:
        raise ServerError("No space left on device")

    monkeypatch.setattr(settling, "record", full)
    with pytest.raises(ServerError, match="No space left on device"):
        publish(bundle, repository, servers=[server])
    assert server.seen == [[1, 2], [1]], "told to load, then to unload, with what it may have"
    assert versions(repository) == [1]


def test_a_file_of_a_users_own_in_any_encoding_stops_no_step(
    bundle: Path, repository: Path
) -> None:
    publish(bundle, repository)
    own = repository / "encoder" / "configs" / "mine.pbtxt"
    own.write_bytes(b"# gr\xfc\xdfe")
    (own.parent / ".mine.pbtxt.swp").write_bytes(b"b0VIM\xff")
    assert publish(bundle, repository) == 2
    assert own.read_bytes() == b"# gr\xfc\xdfe"


def test_a_damaged_history_is_told_and_nothing_is_done(bundle: Path, repository: Path) -> None:
    publish(bundle, repository)
    (repository / "history.jsonl").write_text('{"step": "publish"}\n')
    for act in (lambda: publish(bundle, repository), lambda: traffic_of(repository)):
        with pytest.raises(ServerError, match=r"history\.jsonl: expected an event in each line"):
            act()
    assert versions(repository) == [1]


def test_what_another_release_added_to_the_history_promotes_no_trial(
    bundle: Path, repository: Path
) -> None:
    for share in (1.0, 0.05):
        publish(bundle, repository, share=share)
    before, history = traffic_of(repository), repository / "history.jsonl"
    assert before.version_for(0.5) == 1
    *_, last = map(json.loads, history.read_text().splitlines())
    last |= {"new": 1, "step": "retire", "traffic": {**last["traffic"], "new": 1}}
    with history.open("a") as file:
        file.write(json.dumps(last) + "\n")
    assert traffic_of(repository) == before
    settle(repository)
    assert versions(repository) == [1, 2]
    assert promote(repository) == 2


def test_a_caller_stays_on_its_side_of_a_growing_share() -> None:
    draws = [i / 100 for i in range(100)]
    before: list[int] = [1] * 100
    for share in (0.1, 0.5, 1.0):
        after = [Traffic(stable=1, canary=2, share=share).version_for(draw) for draw in draws]
        assert after.count(2) == round(100 * share)
        assert all(new >= old for new, old in zip(after, before, strict=True))
        before = after


@pytest.mark.parametrize(
    "traffic",
    [{"stable": -1}, {"stable": 1, "share": 0.5}, {"stable": 1, "canary": 2, "share": 1.5}],
)
def test_traffic_that_nobody_could_follow_is_refused(traffic: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected"):
        Traffic(**traffic)


def test_there_is_an_encoder_for_each_version_that_serves_and_no_other(
    bundle: Path, repository: Path
) -> None:
    for _ in range(3):
        publish(bundle, repository)
    publish(bundle, repository, share=0.1)
    encoders = repository / "encoder"
    assert versions_in(encoders) == [3, 4]
    assert (encoders / "4" / "model.onnx").read_bytes() == (bundle / "model_fp32.onnx").read_bytes()
    assert f"# For 7 tags, {MAX_TOKENS} tokens" in (encoders / "config.pbtxt").read_text()


class Noting:
    """A server that notes which encoders lie on the disk as it is told to load."""

    def __init__(self, repository: Path) -> None:
        self.encoders = repository / "encoder"
        self.history = repository / "history.jsonl"
        self.seen: list[list[int]] = []
        self.warmed: list[tuple[str, int]] = []

    def load(self) -> None:
        self.seen.append(versions_in(self.encoders))

    unload = load

    def warm_up(self, folder: Path, version: str) -> None:
        assert folder.name == version
        assert len(self.seen) == 1, "it was loaded, and nothing more"
        self.warmed.append((version, len(self.history.read_bytes().splitlines())))


class Cold(Noting):
    """A server whose new version does not get through its warm-up."""

    def warm_up(self, folder: Path, version: str) -> None:
        raise ServerError("expected an answer, got DEADLINE_EXCEEDED")


def test_a_version_is_warmed_up_before_it_is_agreed_on_and_refused_where_that_fails(
    bundle: Path, repository: Path
) -> None:
    publish(bundle, repository)
    server = Noting(repository)
    publish(bundle, repository, servers=[server], heard_s=0.0)
    assert server.warmed == [("2", 1)], "with the first version's line only"
    with pytest.raises(ServerError, match="DEADLINE_EXCEEDED"):
        publish(bundle, repository, servers=[Cold(repository)], heard_s=0.0)
    assert traffic_of(repository).stable == 2
    assert versions(repository) == [2]


def test_after_a_refusal_that_leaves_none_an_interrupted_publication_serves_nobody(
    bundle: Path, repository: Path
) -> None:
    with pytest.raises(ServerError, match="DEADLINE_EXCEEDED"):
        publish(bundle, repository, servers=[Cold(repository)], heard_s=0.0)
    interrupt(bundle, repository)
    assert versions(repository) == [2], "otherwise this shows little"
    assert traffic_of(repository) == Traffic()
    settle(repository)
    assert versions(repository) == []


def test_callers_have_time_to_hear_of_a_version_before_the_old_one_is_unloaded(
    bundle: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[object] = []

    class Noted(Noting):
        def unload(self) -> None:
            done.append("unload")

    monkeypatch.setattr("serve.repository.time.sleep", done.append)
    publish(bundle, repository)
    publish(bundle, repository, servers=[Noted(repository)], heard_s=7.0)
    assert done == [7.0, "unload"]


class Forgetful(Noting):
    """A server that does not unload."""

    def unload(self) -> None:
        raise ServerError("no answer")


def test_a_step_that_took_hold_says_so_where_a_server_does_not_unload(
    bundle: Path, repository: Path
) -> None:
    publish(bundle, repository)
    with pytest.raises(
        ServerError, match=r"version 2 serves; expected .*, got no answer; the next"
    ):
        publish(bundle, repository, servers=[Forgetful(repository)], heard_s=0.0)
    assert traffic_of(repository) == Traffic(stable=2, kept=(1,))


def test_a_version_on_trial_has_its_encoder_until_its_callers_have_heard_of_the_rollback(
    bundle: Path, repository: Path
) -> None:
    publish(bundle, repository)
    publish(bundle, repository, share=0.1)
    server = Noting(repository)
    assert rollback(repository, servers=[server], heard_s=0.0) == 3
    assert server.seen == [[1, 2, 3], [3]], "as it loads the old bundle again, and afterwards"


def test_an_encoder_whose_graph_has_no_name_of_its_own_is_made_anew(
    bundle: Path, repository: Path
) -> None:
    """As those that were published before graphs had one: an engine may be taken for another's."""
    add_tensorrt_graph(bundle)
    publish(bundle, repository)
    made = repository / "encoder" / "1" / "model.onnx"
    named = made.read_bytes()
    made.write_bytes((bundle / TENSORRT_GRAPH).read_bytes())
    settle(repository)
    assert made.read_bytes() == named


def test_settings_of_the_encoder_are_kept_while_they_fit_and_written_anew_for_other_labels(
    bundle: Path, tmp_path: Path, repository: Path
) -> None:
    publish(bundle, repository)
    config = repository / "encoder" / "config.pbtxt"
    config.write_text(config.read_text() + "# tuned by hand\n")
    publish(bundle, repository)
    assert "tuned by hand" in config.read_text()
    tags = Tags.from_labels(["Item"])
    other = write_bundle(tmp_path / "other", tags=tags)
    replace_file(other, "model_fp32.onnx", tiny_graph(num_tags=len(tags)))
    publish(other, repository, share=0.1)
    assert versions_in(repository / "encoder") == [2], "one shape at a time: the stable one's"
    assert "tuned by hand" in config.read_text()
    promote(repository)
    assert versions_in(repository / "encoder") == [3]
    assert "# For 3 tags" in config.read_text()


def test_nothing_in_the_taggers_folder_looks_changed_after_a_step(
    bundle: Path, repository: Path
) -> None:
    """Or Triton would load the version that serves once more, cold."""
    publish(bundle, repository)
    publish(bundle, repository)
    model = repository / "tagger"
    before = {p.name: p.stat().st_mtime_ns for p in model.iterdir() if not p.name.isdecimal()}
    publish(bundle, repository)
    rollback(repository)
    after = {p.name: p.stat().st_mtime_ns for p in model.iterdir() if not p.name.isdecimal()}
    assert after == before


def test_a_repository_in_order_is_settled_without_a_write(bundle: Path, repository: Path) -> None:
    for _ in range(2):
        publish(bundle, repository)
    paths = [repository, *repository.rglob("*")]
    before = [path.lstat().st_ctime_ns for path in paths]
    settle(repository)
    assert [repository, *repository.rglob("*")] == paths
    assert [path.lstat().st_ctime_ns for path in paths] == before, "its server may not be its owner"


class Unreachable(list[Running]):
    """Servers that this user cannot tell, as those of another."""

    def __len__(self) -> int:
        raise ServerError("expected servers of this user, got process 7 of another")


def test_a_step_whose_servers_cannot_be_told_does_not_take_hold(
    bundle: Path, repository: Path
) -> None:
    publish(bundle, repository)
    publish(bundle, repository, share=0.2)
    before = traffic_of(repository)
    for step in (promote, rollback):
        with pytest.raises(ServerError, match="of this user, got process 7 of another"):
            step(repository, servers=Unreachable())
        assert (traffic_of(repository), versions(repository)) == (before, [1, 2])
