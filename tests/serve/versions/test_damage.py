"""Tests the steps with versions whose files were damaged since they were published."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from benchmarks.triton import start_triton
from serve.client import TritonTagger
from serve.errors import BundleError, ServerError
from serve.repository import promote, publish, rollback, traffic_of, versions
from serve.versions.folders import versions_in
from serve.versions.history import read_events
from serve.versions.servers import Running, RunningServers
from serve.versions.traffic import Traffic

GRAPH = "model_fp32.onnx"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return tmp_path / "repository"


def damage(version: Path) -> None:
    graph = version / GRAPH
    content = bytearray(graph.read_bytes())
    content[len(content) // 2] ^= 1
    graph.write_bytes(content)


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_a_trial_that_was_damaged_gets_no_more_callers(
    bundle: Path, repository: Path, share: float
) -> None:
    publish(bundle, repository)
    publish(bundle, repository, share=0.1)
    damage(repository / "tagger/2")
    before = (traffic_of(repository), versions(repository), read_events(repository))
    with pytest.raises(
        BundleError,
        match=r"tagger/2: expected a sound version, got .*/2/model_fp32\.onnx: "
        r"expected SHA-256 .*; python -m serve rollback takes it from all callers$",
    ):
        promote(repository, share=share)
    assert (traffic_of(repository), versions(repository), read_events(repository)) == before
    assert rollback(repository) == 3, "which the message named"
    assert traffic_of(repository) == Traffic(stable=3)


def test_no_trial_is_taken_back_while_what_serves_the_others_is_damaged(
    bundle: Path, repository: Path
) -> None:
    publish(bundle, repository)
    publish(bundle, repository, share=0.1)
    damage(repository / "tagger/1")
    before = traffic_of(repository)
    with pytest.raises(
        BundleError, match=r"tagger/1: expected a sound version, .*; put its files back, or promote"
    ):
        rollback(repository)
    assert traffic_of(repository) == before
    assert promote(repository) == 2, "which the message named"


def test_a_kept_version_that_was_damaged_is_refused_and_without_its_folder_passed_over(
    bundle: Path, repository: Path
) -> None:
    for _ in range(3):
        publish(bundle, repository)
    damage(repository / "tagger/kept/2")
    before = (traffic_of(repository), versions(repository), read_events(repository))
    with pytest.raises(
        BundleError,
        match=r"kept/2: expected a sound version, .*; remove the folder to go back to version 1 i",
    ):
        rollback(repository)
    assert (traffic_of(repository), versions(repository), read_events(repository)) == before
    shutil.rmtree(repository / "tagger/kept/2")
    assert rollback(repository) == 4
    assert read_events(repository)[-1].note == "1 again"
    assert traffic_of(repository) == Traffic(stable=4)


def test_the_last_kept_version_is_refused_if_damaged(bundle: Path, repository: Path) -> None:
    for _ in range(2):
        publish(bundle, repository)
    damage(repository / "tagger/kept/1")
    with pytest.raises(
        BundleError, match=r"kept/1: expected a sound version, .*; publish a bundle"
    ):
        rollback(repository)
    assert traffic_of(repository) == Traffic(stable=2, kept=(1,))
    shutil.rmtree(repository / "tagger/kept/1")
    with pytest.raises(ServerError, match="expected a version to go back to, got none"):
        rollback(repository)


class Failing(Running):
    """A server that loads nothing, and what it saw in the repository when it was asked to."""

    def __init__(self, repository: Path) -> None:
        self.repository = repository
        self.seen: list[list[int]] = []
        self.told: list[Traffic] = []

    def load(self) -> None:
        self.seen.append(versions(self.repository))
        self.told.append(traffic_of(self.repository))
        raise ServerError("no memory")

    def unload(self) -> None:
        raise ServerError("no memory")


def test_a_damaged_version_stays_where_it_was_if_what_was_to_replace_it_does_not_load(
    bundle: Path, repository: Path
) -> None:
    publish(bundle, repository)
    damage(repository / "tagger/1")
    server = Failing(repository)
    with pytest.raises(ServerError, match="no memory"):
        publish(bundle, repository, servers=[server])
    assert server.seen == [[2]], "without the one that it could not load again"
    assert server.told == [Traffic(stable=1)], "which callers get still, as it has it"
    assert versions(repository) == [1]
    assert traffic_of(repository) == Traffic(stable=1)


@pytest.mark.triton
def test_versions_are_served_though_the_clock_went_back_since_the_last(
    bundle: Path, repository: Path, environment: Path
) -> None:
    """Triton loads what is newer than what it loaded last."""
    publish(bundle, repository)
    a_year_ahead = time.time() + 365 * 86_400
    for path in (repository, *repository.rglob("*")):
        os.utime(path, (a_year_ahead, a_year_ahead))
    with start_triton(repository, environment=environment) as server:
        servers = RunningServers(repository)
        publish(bundle, repository, servers=servers, share=0.1, heard_s=0.0)
        promote(repository, servers=servers)
        assert rollback(repository, servers=servers, heard_s=0.0) == 3
        with TritonTagger(server.url) as tagger:
            assert tagger.ask(["fix pump"])[0].version == "3"


@pytest.mark.triton
def test_what_is_replaced_does_not_hold_up_servers_although_it_was_damaged(
    bundle: Path, repository: Path, environment: Path
) -> None:
    """Triton loads anew whatever looks changed, and with one that fails no other is loaded."""
    publish(bundle, repository)
    publish(bundle, repository, share=0.1)
    with start_triton(repository, environment=environment) as server:
        servers = RunningServers(repository)
        damage(repository / "tagger/2")
        assert rollback(repository, servers=servers, heard_s=0.0) == 3, "the trial"
        damage(repository / "tagger/3")
        with pytest.raises(BundleError, match=r"tagger/3: expected a sound .*; put its files back"):
            publish(bundle, repository, share=0.1, servers=servers, heard_s=0.0)
        assert versions(repository) == [3]
        assert publish(bundle, repository, servers=servers, heard_s=0.0) == 4, "what served all"
        assert versions_in(repository / "tagger/kept") == [3]
        with TritonTagger(server.url) as tagger:
            assert tagger.ask(["fix pump"])[0].version == "4"
