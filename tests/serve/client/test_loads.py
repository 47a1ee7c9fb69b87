"""Tests what many requests at once come to, in simulated time."""

from __future__ import annotations

from serve.client.route import Route
from serve.client.steps import Answered, Ask, Outcome, Refresh
from serve.triton.failures import Failed, Failure
from serve.versions.traffic import Traffic
from tests.serve.client.courses import ANSWER, A, B, world
from tests.serve.client.loads import Load, Sent

STALE = Failed(Failure.STALE_VERSION, "version 2 is not found")


def test_an_endpoint_without_the_clients_version_stays_left_out_and_costs_no_answers() -> None:
    def serve(step: Sent) -> tuple[float, Outcome]:
        is_behind = step.endpoint.url == A
        if isinstance(step, Ask | Refresh):
            return 0.002, Answered([Traffic(stable=1 if is_behind else 2)], "1")
        has_it = step.version in ("", "1") if is_behind else step.version in ("", "2")
        return (0.2, ANSWER) if has_it else (0.02, STALE)

    it = world(A, B, route=Route(0.5))
    it.dispatcher.learned(Answered([Traffic(stable=2)], "1"))
    load = Load(it, serve, num_left=1_000)
    load.run(num_callers=32)
    assert load.errors == []
    assert it.dispatcher.stats.num_ejected == {A: 1}
    assert it.dispatcher.stats.num_probes > 1
