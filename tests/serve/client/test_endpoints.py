"""Tests which endpoint is chosen, and which ones are left out for how long."""

from __future__ import annotations

from serve.client.endpoints import Endpoint, Endpoints
from serve.client.policy import Policy
from serve.triton.failures import Failure

POLICY = Policy(probe_after_s=0.1, max_probe_after_s=1.0)


def two() -> tuple[Endpoints, Endpoint, Endpoint]:
    endpoints = Endpoints(["a:1", "b:2"], POLICY)
    first, second = endpoints
    return endpoints, first, second


def test_an_endpoint_left_out_is_no_spare_unless_all_are() -> None:
    endpoints, first, second = two()
    assert endpoints.has_spare([first])
    assert not endpoints.has_spare([first, second])
    endpoints.failed(second, Failure.STOPPING, 10.0)
    assert not endpoints.has_spare([first])
    endpoints.failed(first, Failure.STOPPING, 10.0)
    assert endpoints.has_spare([first])


def test_what_is_asked_beside_requests_goes_where_few_are_under_way() -> None:
    endpoints, first, second = two()
    assert endpoints.take([]) is first
    assert endpoints.idlest() is second
    endpoints.failed(second, Failure.STOPPING, 10.0)
    assert endpoints.idlest() is first, "the only one that serves"


def test_an_endpoint_that_came_back_is_told_once_and_its_pauses_begin_anew() -> None:
    endpoints, first, _ = two()
    for _ in range(2):
        assert endpoints.failed(first, Failure.STOPPING, 10.0)
        assert not endpoints.failed(first, Failure.STOPPING, 10.0), "it is left out already"
        assert first.probe_at == 10.1
        pauses = []
        for _ in range(5):
            endpoints.probe_failed(first, 20.0)
            pauses.append(round((first.probe_at or 0.0) - 20.0, 6))
        assert pauses == [0.2, 0.4, 0.8, 1.0, 1.0]
        assert endpoints.answered(first)
        assert not endpoints.answered(first)
