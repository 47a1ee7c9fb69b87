"""Owns the figures of clients for Prometheus: read from their counters whenever somebody scrapes.

Nothing is added to a request's way. Several clients of one program are one in the figures. What can
go wrong is a zero from the beginning: a rate over time sees no growth of what was not there before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from serve.client.dispatch import Dispatcher
from serve.client.stats import CANCELLED, DURATION_BOUNDS_S, UNSENT, Stats
from serve.triton.failures import Failure

PREFIX = "linetag_client_"


class ClientCollector(Collector):
    """What a registry of prometheus_client asks at each scrape."""

    def __init__(self, dispatchers: Sequence[Dispatcher]) -> None:
        """Take what holds the figures of each client."""
        self._dispatchers = dispatchers

    def collect(self) -> Iterator[Metric]:
        """Yield every figure."""
        stats, in_flight, is_up = Stats(), Counter[str](), dict[str, float]()
        for dispatcher in self._dispatchers:
            with dispatcher.lock:
                stats.add(dispatcher.stats)
                for endpoint in dispatcher.endpoints:
                    in_flight[endpoint.url] += endpoint.in_flight
                    stats.num_ejected[endpoint.url] += 0
                    up = endpoint.probe_at is None and is_up.get(endpoint.url, True)
                    is_up[endpoint.url] = float(up)
        yield from _counters(stats)
        yield _durations(stats)
        yield _gauge("in_flight", "Requests under way.", in_flight)
        yield _gauge("endpoint_up", "1, or 0 while a client leaves it out.", is_up)


def _counters(stats: Stats) -> Iterator[Metric]:
    yield _counter("requests", "Requests, answered or not.", stats.num_requests)
    yield _counter("shed", "Requests not sent because no endpoint had room.", stats.num_shed)
    yield _counter("probes", "Probes of endpoints left out.", stats.num_probes)
    yield _counter("texts", "Texts answered.", stats.num_texts)
    yield _counter("characters", "Characters of the texts answered.", stats.num_chars)
    none: dict[str, float] = dict.fromkeys(Failure, 0)
    given_up = none | {CANCELLED: 0, UNSENT: 0} | stats.failures
    rows: Iterable[tuple[str, str, str, Mapping[str, float]]] = (
        ("failures", "Requests given up, by reason.", "reason", given_up),
        (
            "failed_tries",
            "Tries without an answer, by reason.",
            "reason",
            none | stats.failed_tries,
        ),
        ("retries", "Retries, by the reason for them.", "reason", none | stats.retries),
        ("ejections", "Times an endpoint was left out.", "endpoint", stats.num_ejected),
        ("entities", "Entities found, by label.", "label", stats.entities),
    )
    for name, documentation, label, counts in rows:
        family = CounterMetricFamily(PREFIX + name, documentation, labels=[label])
        for value, count in counts.items():
            family.add_metric([value], count)
        yield family


def _counter(name: str, documentation: str, value: float) -> Metric:
    return CounterMetricFamily(PREFIX + name, documentation, value=value)


def _gauge(name: str, documentation: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(PREFIX + name, documentation, labels=["endpoint"])
    for url, value in values.items():
        family.add_metric([url], value)
    return family


def _durations(stats: Stats) -> Metric:
    bounds = [*map(str, DURATION_BOUNDS_S), "+Inf"]
    buckets = list(zip(bounds, accumulate(map(float, stats.durations)), strict=True))
    name, documentation = f"{PREFIX}request_duration_seconds", "Time of the requests answered."
    return HistogramMetricFamily(name, documentation, buckets=buckets, sum_value=stats.total_s)
