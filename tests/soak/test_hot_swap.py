"""Hot swaps under load: versions are published, tried, promoted and rolled back while callers call.

No call may be lost or refused, none may see an older version after a newer one, and a broken
version changes nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from benchmarks.triton import start_triton
from serve.bundle import Precision
from serve.client import Policy, TritonTagger
from serve.entities import Entity
from serve.errors import BundleError, ServerError, TaggingError
from serve.repository import promote, publish, rollback, traffic_of, versions
from serve.tagger import Tagger
from serve.triton.processes import processes_of, wait_until
from serve.versions.history import Step, read_events
from serve.versions.servers import RunningServers
from tests.serve.tiny import TAGS, are_same, noisy_lines, replace_file, tiny_graph, write_bundle
from tests.soak.conftest import Soak
from tests.soak.lateness import watching

pytestmark = [pytest.mark.triton, pytest.mark.slow]
NUM_CALLERS = 4
PAUSE_S = 0.004
LINES = [line for line in noisy_lines(40, seed=3) if len(line) < 100]
SLOWEST_S = 0.300
UNLOADED_S = 10.0
HEARD_S = 1.2  # clients ask each second


@dataclass
class Caller:
    """One client that calls without end, and what it saw."""

    tagger: TritonTagger
    seen: list[int] = field(default_factory=list)
    failures: list[TaggingError] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    durations_s: list[float] = field(default_factory=list)

    def call(self, stop: threading.Event, expected: dict[int, list[list[Entity]]]) -> None:
        number = 0
        while not stop.is_set():
            number = (number + 1) % len(LINES)
            started = time.monotonic()
            try:
                (answer,) = self.tagger.ask([LINES[number]])
            except TaggingError as error:
                self.failures.append(error)
                continue
            self.durations_s.append(time.monotonic() - started)
            version = int(answer.version)
            self.seen.append(version)
            if not are_same([answer.entities], [expected[version][number]]):
                self.wrong.append(f"version {version}: {LINES[number]!r}")
            time.sleep(PAUSE_S)


@contextmanager
def calling(urls: list[str], expected: dict[int, list[list[Entity]]]) -> Iterator[list[Caller]]:
    """Let callers call in the block, each with a client of its own."""
    stop = threading.Event()
    policy = Policy(deadline_s=5.0, try_timeout_s=2.0)  # a busy machine loses nothing here
    with ExitStack() as stack:
        callers = [
            Caller(stack.enter_context(TritonTagger(urls, policy=policy)))
            for _ in range(NUM_CALLERS)
        ]
        threads = [threading.Thread(target=c.call, args=(stop, expected)) for c in callers]
        for thread in threads:
            thread.start()
        try:
            yield callers
        finally:
            stop.set()
            for thread in threads:
                thread.join()


def bundles_of(folder: Path, num: int) -> list[Path]:
    """Return bundles whose answers differ, so that a caller can tell whose they are."""
    made = []
    for number in range(num):
        bundle = write_bundle(folder / f"bundle-{number}")
        replace_file(bundle, "model_fp32.onnx", tiny_graph(seed=100 + number))
        made.append(bundle)
    return made


def answers_of(bundle: Path) -> list[list[Entity]]:
    return Tagger.load(bundle).tag(LINES)


@contextmanager
def pair(repository: Path, environment: Path) -> Iterator[tuple[list[str], RunningServers]]:
    """Give two servers of one repository: their addresses, and who administers them."""
    with ExitStack() as stack:
        urls = [
            stack.enter_context(start_triton(repository, environment=environment)).url
            for _ in range(2)
        ]
        servers = RunningServers(repository)
        assert len(servers) == 2
        yield urls, servers


def test_hot_swaps_lose_nothing_and_no_caller_sees_versions_go_back(
    tmp_path: Path, environment: Path, soak: Soak
) -> None:
    num_swaps = soak.size(small=10, large=200)
    first, second = bundles_of(tmp_path, 2)
    answers = {bundle: answers_of(bundle) for bundle in (first, second)}
    assert answers[first] != answers[second]
    broken = write_bundle(tmp_path / "broken")
    replace_file(broken, "model_fp32.onnx", tiny_graph(num_tags=len(TAGS) - 2))
    repository = tmp_path / "repository"
    expected = {publish(first, repository): answers[first]}
    with pair(repository, environment) as (urls, servers):
        with calling(urls, expected) as callers, watching() as late:
            for number in range(num_swaps):
                bundle = (second, first)[number % 2]
                expected[max(expected) + 1] = answers[bundle]  # before anybody asks for it
                version = publish(bundle, repository, servers=servers, heard_s=HEARD_S)
                assert version == max(expected)
                if number == num_swaps // 2:
                    with pytest.raises(BundleError, match="expected 5 tags"):
                        publish(broken, repository, servers=servers)
            time.sleep(HEARD_S)
        seen = [version for caller in callers for version in caller.seen]
        slowest_s = max(max(caller.durations_s) for caller in callers)
        soak.record(
            "hot swap",
            num_swaps=num_swaps,
            num_calls=len(seen),
            num_lost=sum(len(caller.failures) for caller in callers),
            num_wrong=sum(len(caller.wrong) for caller in callers),
            slowest_s=slowest_s,
            machine_late_s=late.worst_s,
        )
        assert slowest_s <= SLOWEST_S + late.allowed_s
        for caller in callers:
            assert caller.failures == []
            assert caller.wrong == []
            assert caller.seen == sorted(caller.seen), "a caller saw versions go back"
            assert caller.seen[-1] == num_swaps + 1
        assert len(set(seen)) == num_swaps + 1, "every version served"
        assert versions(repository) == [num_swaps + 1]
        assert traffic_of(repository).kept == (num_swaps, num_swaps - 1)
        for server in servers:  # Triton answers before the process of the version before is gone
            assert wait_until(
                lambda prefix=server.state.prefix: len(processes_of(prefix)) == 2,
                timeout_s=UNLOADED_S,
            ), "old versions are unloaded"


def test_a_version_that_a_server_cannot_load_is_refused_and_the_old_one_serves_on(
    tmp_path: Path, environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The publisher checks a bundle first; this one breaks on its way to the server."""
    import serve.repository

    bundle = write_bundle(tmp_path / "bundle", precisions=(Precision.FP32,))
    repository = tmp_path / "repository"
    expected = {publish(bundle, repository): answers_of(bundle)}
    with pair(repository, environment) as (urls, servers):
        real = serve.repository.settle_encoders

        def damage(where: Path, traffic: object) -> None:
            real(where, traffic)
            for path in where.glob("tagger/2/labels.json"):
                path.write_text("{}")

        with calling(urls, expected) as callers:
            monkeypatch.setattr(serve.repository, "settle_encoders", damage)
            with pytest.raises(ServerError, match=r"labels\.json: expected SHA-256") as caught:
                publish(bundle, repository, servers=servers, share=0.5)
            monkeypatch.undo()
            assert "\n" not in str(caught.value)
        assert [caller.failures for caller in callers] == [[]] * NUM_CALLERS
        assert {version for caller in callers for version in caller.seen} == {1}
        assert versions(repository) == [1]
        assert [event.step for event in read_events(repository)] == [Step.PUBLISH, Step.REFUSE]
        assert publish(bundle, repository, servers=servers, heard_s=0) == 3, "2 is not used again"


def test_a_share_of_callers_tries_a_version_and_a_rollback_gives_it_to_none(
    tmp_path: Path, environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = bundles_of(tmp_path, 2)
    repository = tmp_path / "repository"
    publish(first, repository)
    draws = iter([0.05, 0.35, 0.65, 0.95])
    monkeypatch.setattr("random.random", lambda: next(draws, 0.5))
    with pair(repository, environment) as (urls, servers), ExitStack() as stack:
        clients = [stack.enter_context(TritonTagger(urls)) for _ in range(4)]

        def asked() -> list[int]:
            time.sleep(HEARD_S)
            for client in clients:
                client.ask(["fix pump"])  # which asks for the versions beside
            time.sleep(0.2)
            return [int(client.ask(["fix pump"])[0].version) for client in clients]

        assert asked() == [1, 1, 1, 1]
        publish(second, repository, share=0.1, servers=servers)
        assert asked() == [2, 1, 1, 1]
        promote(repository, share=0.5, servers=servers)
        assert asked() == [2, 2, 1, 1]
        rollback(repository, servers=servers, heard_s=0)
        assert asked() == [3, 3, 3, 3]
        assert clients[0].tag(LINES) == Tagger.load(first).tag(LINES)
        assert versions(repository) == [3]
