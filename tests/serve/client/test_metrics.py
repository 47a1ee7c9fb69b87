"""Tests what Prometheus sees of clients: each figure counts what its name says."""

from __future__ import annotations

import asyncio
import sys

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from serve.client import AsyncTritonTagger, Policy, TritonTagger, export_metrics
from serve.client.stats import (
    CANCELLED,
    DURATION_BOUNDS_S,
    MAX_LABELS,
    OTHER_LABELS,
    UNSENT,
    Stats,
)
from serve.entities import Entity
from serve.errors import DataError, ServerError, UnreachableError
from serve.limits import MAX_CHARS
from serve.triton.failures import Failure
from tests.serve.client.courses import A, B, a_request, answers, failing, world
from tests.serve.fake_triton import fake_triton


class Shown:
    """What a scrape gives."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def __call__(self, name: str, **labels: str) -> float | None:
        return self._registry.get_sample_value(f"linetag_client_{name}", labels)


def test_every_figure_of_a_busy_client_is_seen() -> None:
    registry = CollectorRegistry()
    with (
        fake_triton() as url,
        TritonTagger([url, "127.0.0.1:1"], policy=Policy(deadline_s=30.0)) as client,
    ):
        export_metrics(client, registry=registry)
        shown = Shown(registry)
        assert shown("requests_total") == 0
        client.tag(["fix pump", "hose"])
        client.tag(["x"])
        assert shown("requests_total") == 2
        assert (shown("texts_total"), shown("characters_total")) == (3, 13)
        assert shown("entities_total", label="Item") == 4
        assert shown("retries_total", reason="unreachable") == 1
        assert shown("failed_tries_total", reason="unreachable") == 1
        assert shown("ejections_total", endpoint="127.0.0.1:1") == 1
        assert shown("endpoint_up", endpoint="127.0.0.1:1") == 0
        assert shown("endpoint_up", endpoint=url) == 1
        assert shown("in_flight", endpoint=url) == 0
        assert shown("shed_total") == shown("probes_total") == 0
        assert shown("request_duration_seconds_count") == 2
        assert shown("request_duration_seconds_bucket", le="+Inf") == 2
        total_s = shown("request_duration_seconds_sum")
        assert total_s is not None
        assert 0 < total_s < 60


def test_requests_given_up_and_shed_and_under_way_are_seen() -> None:
    it = world(A, B, policy=Policy(max_in_flight=1))
    registry = CollectorRegistry()

    class Client:
        dispatcher = it.dispatcher

    export_metrics(Client(), registry=registry)
    shown = Shown(registry)
    with pytest.raises(DataError):
        it.run(failing(Failure.REFUSED))
    with pytest.raises(UnreachableError):
        it.run(failing(Failure.UNREACHABLE))
    it.start()
    it.start()
    with pytest.raises(ServerError):
        it.run(answers)
    assert shown("failures_total", reason="refused") == 1
    assert shown("failures_total", reason="unreachable") == 1
    assert shown("shed_total") == 1
    assert [shown("in_flight", endpoint=url) for url in (A, B)] == [1, 1]


def test_texts_that_must_not_be_sent_are_seen_in_the_figures() -> None:
    registry = CollectorRegistry()
    client, asynchronous = TritonTagger("127.0.0.1:1"), AsyncTritonTagger("127.0.0.1:1")
    export_metrics(client, asynchronous, registry=registry)
    long = "x" * (MAX_CHARS + 1)

    async def ask() -> None:
        with pytest.raises(DataError):
            await asynchronous.ask(["fine", long])
        with pytest.raises(DataError):
            _ = [answer async for answer in asynchronous.tag_stream([long])]

    with client:
        for texts in (["\ud800"], [None]):
            with pytest.raises((DataError, TypeError)):
                client.tag(texts)
        with pytest.raises(DataError):
            list(client.tag_stream([long]))
    asyncio.run(ask())
    shown = Shown(registry)
    assert shown("failures_total", reason=UNSENT) == shown("requests_total") == 5
    assert shown("texts_total") == 0


def test_a_client_that_has_done_nothing_shows_zeros_for_all_that_may_go_wrong() -> None:
    """Prometheus sees no growth of what was not there before."""
    registry = CollectorRegistry()

    class Client:
        dispatcher = world(A, B).dispatcher

    export_metrics(Client(), registry=registry)
    shown = Shown(registry)
    for name in ("failures_total", "failed_tries_total", "retries_total"):
        assert [shown(name, reason=reason) for reason in Failure] == [0] * len(Failure)
    assert shown("failures_total", reason=CANCELLED) == shown("failures_total", reason=UNSENT) == 0
    assert [shown("ejections_total", endpoint=url) for url in (A, B)] == [0, 0]


def test_several_clients_are_one_in_the_figures_and_the_text_parses() -> None:
    worlds = [world(A), world(A, B)]
    registry = CollectorRegistry()

    class Client:
        def __init__(self, dispatcher: object) -> None:
            self.dispatcher = dispatcher

    export_metrics(*(Client(it.dispatcher) for it in worlds), registry=registry)
    for it in worlds:
        it.run(answers)
    with pytest.raises(UnreachableError):
        worlds[0].run(failing(Failure.UNREACHABLE))
    shown = Shown(registry)
    assert shown("requests_total") == 3
    assert shown("endpoint_up", endpoint=A) == 0, "one of them leaves it out"
    families = list(text_string_to_metric_families(generate_latest(registry).decode()))
    assert {family.name for family in families} >= {"linetag_client_request_duration_seconds"}
    assert all(family.documentation.endswith(".") for family in families)


def test_durations_fall_into_the_bucket_that_holds_them() -> None:
    stats = Stats()
    for duration_s in (0.0, DURATION_BOUNDS_S[0], 0.0006, 1e9):
        stats.count_answer(a_request(), [[]], duration_s)
    assert (stats.durations[0], stats.durations[1], stats.durations[-1]) == (2, 1, 1)
    assert sum(stats.durations) == 4


def test_a_server_that_makes_labels_up_does_not_fill_the_memory() -> None:
    stats = Stats()
    for number in range(10 * MAX_LABELS):
        stats.count_answer(a_request(), [[Entity(f"label {number}", 0, 1, 1.0)]], 0.0)
    assert len(stats.entities) == MAX_LABELS + 1
    assert stats.entities[OTHER_LABELS] == 9 * MAX_LABELS
    assert stats.entities.total() == 10 * MAX_LABELS


def test_without_prometheus_the_package_to_install_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(ServerError, match=r"prometheus_client, got .*; pip install '\.\[metr"):
        export_metrics()
