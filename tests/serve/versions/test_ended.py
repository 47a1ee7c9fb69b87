"""Tests steps while a server starts or ends: one fails and comes back, over and over, say."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Timer

import grpc
import pytest

from serve.errors import EndedError
from serve.repository import publish, rollback, traffic_of, versions
from serve.triton.listening import choose_ports
from serve.triton.state import ServerState
from serve.versions.servers import Running, RunningServers
from tests.serve.stand_in import stand_in

LISTENS_S = 0.4


@pytest.fixture
def repository(bundle: Path, tmp_path: Path) -> Path:
    """Two versions, of which the second serves."""
    publish(bundle, tmp_path / "repository")
    publish(bundle, tmp_path / "repository")
    return tmp_path / "repository"


@contextmanager
def ending(folder: Path, repository: Path) -> Iterator[ServerState]:
    """Run what is killed as soon as it is waited for."""
    wait = Running._await_start

    def kill(server: Running) -> None:
        os.kill(server.state.pid, signal.SIGKILL)
        wait(server)

    with stand_in(folder, repository) as state, pytest.MonkeyPatch.context() as patch:
        patch.setattr(Running, "_await_start", kill)
        yield state


def test_a_version_that_a_server_may_have_died_of_is_refused(
    bundle: Path, tmp_path: Path, repository: Path
) -> None:
    before = traffic_of(repository)
    with (
        ending(tmp_path / "triton", repository),
        pytest.raises(EndedError, match=r"that ended meanwhile, see .*triton\.log; try again"),
    ):
        publish(bundle, repository, servers=RunningServers(repository), heard_s=0)
    assert traffic_of(repository) == before
    assert versions(repository) == [2]


def test_going_back_waits_for_no_server_that_dies(tmp_path: Path, repository: Path) -> None:
    """It may die of the very version that is to go."""
    with ending(tmp_path / "triton", repository) as state:
        assert rollback(repository, servers=RunningServers(repository), heard_s=0) == 3
        assert not state.is_running()
    assert traffic_of(repository).stable == 3
    assert versions(repository) == [3]


def test_one_that_dies_as_the_old_version_goes_is_no_failure(
    bundle: Path, tmp_path: Path, repository: Path
) -> None:
    """When it starts again, it finds the new one alone."""

    with stand_in(tmp_path / "triton", repository) as state, Dying(state) as server:
        assert publish(bundle, repository, servers=[server], heard_s=0) == 3
        assert server.is_told


class Dying(Running):
    """Loads and answers, and has ended when it is told to unload."""

    is_told = False

    def load(self) -> None:
        """Do so."""

    def warm_up(self, folder: Path, version: str) -> None:
        """Do so."""

    def unload(self) -> None:
        """Be gone."""
        os.kill(self.state.pid, signal.SIGKILL)
        self.is_told = True
        super().unload()


@contextmanager
def administered(
    calls: dict[str, Callable[[bytes, grpc.ServicerContext], bytes]], *, after_s: float = 0.0
) -> Iterator[str]:
    """Answer an administrator's calls, from a time on; give the address."""
    methods = {name: grpc.unary_unary_rpc_method_handler(call) for name, call in calls.items()}
    url = f"127.0.0.1:{choose_ports(0, http=False).grpc}"
    with ThreadPoolExecutor(2) as pool:
        triton = grpc.server(pool)
        handler = grpc.method_handlers_generic_handler("inference.GRPCInferenceService", methods)
        triton.add_generic_rpc_handlers((handler,))

        def listen() -> None:
            triton.add_insecure_port(url)
            triton.start()

        listening = Timer(after_s, listen)
        listening.start()
        try:
            if not after_s:
                listening.join()
            yield url
        finally:
            listening.join()
            triton.stop(None).wait()


def test_one_that_starts_is_told_when_it_listens(tmp_path: Path, repository: Path) -> None:
    told = []

    def load(content: bytes, context: grpc.ServicerContext) -> bytes:
        told.append(content)
        return b""

    calls = {"RepositoryModelLoad": load, "RepositoryIndex": lambda content, context: b""}
    with (
        administered(calls, after_s=LISTENS_S) as url,
        stand_in(tmp_path / "triton", repository, url=url) as state,
        Running(state) as server,
    ):
        server.load()
    assert len(told) == 1


def test_one_that_refuses_because_it_ends_is_waited_for(tmp_path: Path, repository: Path) -> None:
    """Its socket closes before its process has ended."""

    def refuse(content: bytes, context: grpc.ServicerContext) -> bytes:
        Timer(LISTENS_S, os.kill, (state.pid, signal.SIGKILL)).start()
        context.abort(grpc.StatusCode.UNAVAILABLE, "Server is stopping")
        raise AssertionError

    calls = {"RepositoryModelLoad": refuse, "RepositoryIndex": lambda content, context: b""}
    with administered(calls) as url, stand_in(tmp_path / "triton", repository, url=url) as state:
        with Running(state) as server, pytest.raises(EndedError):
            server.load()
        assert rollback(repository, servers=RunningServers(repository), heard_s=0) == 3
