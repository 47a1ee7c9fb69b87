"""Owns which endpoint a request goes to, and which ones are left out.

Policy:
* Among the healthy endpoints with room, the one with the fewest requests under way; the longest
  unused one of those that have equally few.
* An endpoint that says it is down is left out at once; one that is silent or answers nonsense,
  after a few tries in a row. While others serve, it gets a probe now and then, never a caller's
  request; a proper answer brings it back.
* With every endpoint left out, all are asked: being left out is a guess, and a wrong one must not
  stop the line. A single endpoint is therefore always asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from serve.client.policy import Policy
from serve.triton.failures import Failure


@dataclass(slots=True, eq=False)
class Endpoint:
    """One server as a client sees it.

    Attributes:
        url: Its address, `host:port`.
        in_flight: Requests under way.
        last_used: Number of the request that was sent there last.
        num_strikes: Tries in a row without a proper answer.
        probe_at: Time of the next probe, while it is left out; None while it is healthy.
        num_probes: Probes that failed since it was left out.
        probing_until: Time at which a probe counts as lost, while one is under way.
    """

    url: str
    in_flight: int = 0
    last_used: int = 0
    num_strikes: int = 0
    probe_at: float | None = None
    num_probes: int = 0
    probing_until: float | None = None

    def is_due(self, now: float) -> bool:
        """Whether it is left out, and its next probe is to be sent."""
        if self.probe_at is None or self.probe_at > now:
            return False
        return self.probing_until is None or self.probing_until <= now


class Endpoints:
    """All endpoints of one client; whoever calls holds its lock."""

    def __init__(self, urls: Sequence[str], policy: Policy) -> None:
        """Take addresses, all of them healthy until they show otherwise."""
        self._policy = policy
        self._all = [Endpoint(url) for url in urls]
        self._healthy = list(self._all)
        self._num_taken = 0

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._all)

    def __iter__(self) -> Iterator[Endpoint]:
        """Return every endpoint, in the order of the addresses."""
        return iter(self._all)

    def has_spare(self, tried: Sequence[Endpoint]) -> bool:
        """Whether there is an endpoint where a request has not been yet, and that could do better.

        Once cut short, a request is so again only while some last try went well: with all in vain
        all are slow, and another one takes as long. Of two endpoints nothing of this is asked.
        """
        asked = self._healthy or self._all
        are_slow = len(tried) > 1 and all(endpoint.num_strikes for endpoint in asked)
        return not are_slow and any(endpoint not in tried for endpoint in asked)

    def idlest(self) -> Endpoint:
        """Return a healthy endpoint with few requests under way, or any if there is none."""
        return min(self._healthy or self._all, key=lambda endpoint: endpoint.in_flight)

    def take(self, tried: Sequence[Endpoint]) -> Endpoint | None:
        """Return the endpoint for a try, counted as under way; None if all are full.

        Args:
            tried: Where the request has been before; others are better.
        """
        best = None
        for endpoint in self._healthy or self._all:
            if endpoint.in_flight >= self._policy.max_in_flight:
                continue
            if best is None or _rank(endpoint, tried) < _rank(best, tried):
                best = endpoint
        if best is not None:
            best.in_flight += 1
            self._num_taken += 1
            best.last_used = self._num_taken
        return best

    def due(self, now: float) -> Endpoint | None:
        """Return the endpoint to probe, marked so; None if none is due, or none serves meanwhile.

        The one that is due for longest: where requests are few, one that is down is due with each.
        """
        if not self._healthy or len(self._healthy) == len(self._all):
            return None
        due = [endpoint for endpoint in self._all if endpoint.is_due(now)]
        first = min(due, key=lambda endpoint: endpoint.probe_at or 0.0, default=None)
        if first is not None:
            # Of one whose sender was interrupted, or forked away from, nothing is ever heard.
            first.probing_until = now + 2 * self._policy.try_timeout_s
        return first

    def answered(self, endpoint: Endpoint) -> bool:
        """Note a proper answer; return whether it brings the endpoint back."""
        endpoint.num_strikes = 0
        if endpoint.probe_at is None:
            return False
        endpoint.num_probes, endpoint.probe_at = 0, None
        self._sort()
        return True

    def failed(self, endpoint: Endpoint, failure: Failure, now: float) -> bool:
        """Note a try without a proper answer; return whether the endpoint is left out from now."""
        endpoint.num_strikes += 1
        if endpoint.probe_at is not None:
            return False
        if not failure.is_down and endpoint.num_strikes < self._policy.eject_after:
            return False
        endpoint.probe_at = now + self._policy.probe_after_s
        self._sort()
        return True

    def probe_failed(self, endpoint: Endpoint, now: float) -> None:
        """Note a probe without a proper answer: the next one waits longer.

        It says nothing of an endpoint that a request brought back meanwhile.
        """
        if endpoint.probe_at is None:
            return
        endpoint.num_probes += 1
        pause_s = self._policy.probe_after_s * 2.0 ** min(endpoint.num_probes, 64)
        endpoint.probe_at = now + min(pause_s, self._policy.max_probe_after_s)
        self._sort()

    def _sort(self) -> None:
        self._healthy = [endpoint for endpoint in self._all if endpoint.probe_at is None]


def _rank(endpoint: Endpoint, tried: Sequence[Endpoint]) -> tuple[int, int, int]:
    return tried.count(endpoint), endpoint.in_flight, endpoint.last_used
