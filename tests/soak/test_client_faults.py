"""Tests the client against endpoints that are all sick: right error, in time, nothing left over.

Time is bounded as promised: 50 ms after the deadline. Tries are bounded by the retry budget: 32 at
once, and one more for every ten requests.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager

import grpc
import pytest
from tritonclient.grpc import service_pb2 as pb

from serve.client import Policy, TritonTagger
from serve.errors import DeadlineError, TaggingError, UnreachableError
from serve.triton.processes import wait_until
from tests.serve.fake_triton import fake_triton
from tests.soak.conftest import Soak
from tests.soak.lateness import watching
from tests.soak.proxies import behind, black_holes, one_byte_a_second, reset_in_the_answer

POLICY = Policy(deadline_s=0.5, try_timeout_s=0.1)
GRACE_S = 0.05
NUM_CALLERS = 16
Sick = Callable[[], AbstractContextManager[list[str]]]


def unavailable(request: pb.ModelInferRequest, context: grpc.ServicerContext) -> None:
    context.abort(grpc.StatusCode.UNAVAILABLE, "busy with something else")


@contextmanager
def all_unavailable() -> Iterator[list[str]]:
    with fake_triton(unavailable) as one, fake_triton(unavailable) as other:
        yield [one, other]


def requests(client: TritonTagger, count: int) -> tuple[Counter[type[Exception]], float]:
    """Send requests that must fail; return the errors, and the longest time of a request."""

    def one(number: int) -> tuple[type[Exception], float]:
        began = time.monotonic()
        with pytest.raises(TaggingError) as caught:
            client.tag([f"pump {number}"])
        return type(caught.value), time.monotonic() - began

    with ThreadPoolExecutor(NUM_CALLERS) as pool:
        errors, times_s = zip(*pool.map(one, range(count)), strict=True)
    return Counter(errors), max(times_s)


def held() -> tuple[int, int]:
    """Return how many threads and descriptors this process holds."""
    return threading.active_count(), len(os.listdir("/proc/self/fd"))


def is_back_to(before: tuple[int, int]) -> bool:
    """Return whether all threads and descriptors are given back, within a few seconds."""
    return wait_until(
        lambda: all(now <= then for now, then in zip(held(), before, strict=True)), timeout_s=5.0
    )


def num_tries(client: TritonTagger) -> int:
    return client.dispatcher.stats.failed_tries.total()


def most_tries(num_requests: int) -> float:
    return num_requests * (1 + POLICY.retry_budget) + POLICY.retry_reserve


@pytest.mark.parametrize(
    ("sick", "expected"),
    [
        pytest.param(all_unavailable, {UnreachableError}, id="unavailable"),
        # After a second of silence gRPC itself knows that there is no server.
        pytest.param(lambda: black_holes(2), {DeadlineError, UnreachableError}, id="black hole"),
        pytest.param(
            lambda: behind(reset_in_the_answer, 2), {UnreachableError}, id="reset in the answer"
        ),
        pytest.param(lambda: behind(one_byte_a_second, 2), {DeadlineError}, id="one byte a second"),
    ],
)
def test_sick_endpoints_give_the_right_error_in_time_and_leave_nothing(
    sick: Sick, expected: set[type[Exception]], soak: Soak, request: pytest.FixtureRequest
) -> None:
    count = soak.size(small=200, large=2_000)
    with sick() as urls, TritonTagger(urls, policy=POLICY) as warming:  # gRPC's own threads start
        requests(warming, NUM_CALLERS)
    before = held()
    with sick() as urls, TritonTagger(urls, policy=POLICY) as client, watching() as late:
        errors, slowest_s = requests(client, count)
        tries = num_tries(client)
    is_back = is_back_to(before)
    soak.record(
        f"client {request.node.callspec.id}",
        errors={error.__name__: number for error, number in errors.items()},
        slowest_ms=slowest_s * 1e3,
        machine_late_ms=late.worst_s * 1e3,
        tries=tries,
    )
    right = sum(errors[error] for error in expected)
    assert right >= 0.9 * count
    # A try that the machine had no time for ends as one that was not answered.
    assert set(errors) <= expected | {DeadlineError}
    assert errors.total() == count
    assert slowest_s <= POLICY.deadline_s + GRACE_S + late.allowed_s
    assert count <= tries <= most_tries(count)
    assert is_back, f"threads and descriptors were {before}, are {held()}"


def test_a_client_without_a_budget_is_caught_by_the_bound_on_tries() -> None:
    lavish = Policy(deadline_s=0.5, retry_budget=1.0, retry_reserve=10_000)
    with all_unavailable() as urls, TritonTagger(urls, policy=lavish) as client:
        requests(client, 100)
        assert num_tries(client) > most_tries(100)


def test_a_leaked_thread_or_descriptor_is_caught() -> None:
    before, leave = held(), threading.Event()
    assert is_back_to(before)
    thread = threading.Thread(target=leave.wait)
    thread.start()
    assert held()[0] > before[0]
    leave.set()
    thread.join()
    with socket.socket():
        assert held()[1] > before[1]
    assert is_back_to(before)
