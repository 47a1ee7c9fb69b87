"""Owns the settings of a client: how long it waits, how often it asks again, whom it avoids.

The unit of all of them is a *request*: up to 64 texts and 2,048 characters, or one longer text. A
call with more texts makes several requests, each with a deadline of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

UNIT_CHARS = 1_024
"""A try may take `try_timeout_s` for each of so many characters, the last ones rounded up."""
MAX_S = 31_536_000.0
"""A year: far longer times overflow in gRPC, and are over at once."""
_SECONDS = f"seconds above 0, at most {MAX_S:,.0f}"


@dataclass(frozen=True, kw_only=True)
class Policy:
    """How a client treats its endpoints.

    Attributes:
        deadline_s: Longest that a request takes, with all its tries and pauses.
        try_timeout_s: Longest that one try of a short request takes while an endpoint where it has
            not been could take over; a longer request has that time per 1,024 characters. Without
            such an endpoint, or a retry to set aside for it, a try has until the deadline; so a
            second one has where the last try at every endpoint was in vain: all are slow then.
        retry_budget: Retries allowed per request made, over all requests of a client: a sick server
            is not asked twice as much as a healthy one. One for another version is free,
            once at each endpoint and for each request.
        retry_reserve: Retries that may come at once, when a server with that many requests under
            way dies; refilled by the budget. Of the requests under way, no more than these can
            fail over from a silent server, and fewer while others fail.
        max_tries: Tries of one request, the first one included; the pauses between them double.
        max_in_flight: Requests under way at one endpoint; more are shed with `Overloaded`. Triton's
            own queue has no limit, and a queue longer than the deadline answers nobody in time.
        eject_after: Consecutive tries without a proper answer in time until an endpoint is left
            out. One that is down, stopping or without the version asked for is left out at once.
        probe_after_s: Pause until an endpoint left out is asked a probe, beside the requests; it
            doubles with each probe that fails. A probe that is answered brings it back.
        max_probe_after_s: Longest such pause.

    Raises:
        ValueError: If a setting is out of range; naming it.
    """

    deadline_s: float = 1.0
    try_timeout_s: float = 0.25
    retry_budget: float = 0.10
    retry_reserve: int = 32
    max_tries: int = 8
    max_in_flight: int = 32
    eject_after: int = 2
    probe_after_s: float = 0.1
    max_probe_after_s: float = 1.0

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("deadline_s", "try_timeout_s", "probe_after_s", "max_probe_after_s"):
            self._expect(name, 0 < getattr(self, name) <= MAX_S, _SECONDS)
        for name in ("max_tries", "max_in_flight", "eject_after"):
            self._expect(name, getattr(self, name) >= 1, "at least 1")
        self._expect("retry_reserve", self.retry_reserve >= 0, "at least 0")
        self._expect("retry_budget", 0 <= self.retry_budget <= 1, "a share from 0 to 1")

    def _expect(self, name: str, holds: bool, what: str) -> None:
        if not holds:
            raise ValueError(f"{name}: expected {what}, got {getattr(self, name)}")

    def try_timeout_of(self, num_chars: int) -> float:
        """Return the longest that a try of so many characters takes, in seconds."""
        return self.try_timeout_s * max(1, -(-num_chars // UNIT_CHARS))

    def fair_timeout_of(self, num_chars: int) -> float:
        """Return the shortest time, in seconds, after which silence is held against an endpoint.

        Where the deadline is below a try's time-out, no try has that: half of the deadline is fair.
        """
        return min(self.try_timeout_of(num_chars), self.deadline_s / 2)
