"""Owns every time and count after which the supervisor does something."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Patience:
    """When to act.

    A replica that stops answering is out within `canary_interval_s + canary_timeout_s`, 1.75 s, if
    its model takes no longer than 0.25 s for a line, see `serve.supervisor.questions`.

    Attributes:
        canary_interval_s: From one canary to the next.
        canary_timeout_s: How long a canary may take, of a model that was quick enough before.
        busy_s: How long a replica may leave canaries unanswered while it computes, counted from
            when the tokens of each version last grew: under a load that makes it slow, killing it
            would only hand the load to the next one.
        ready_s: How long a start may take, and a version's first answer; a start as long again
            where it answers, and only what is right is still being worked out.
        drain_s: How long a replica may take to answer what is in flight, and to end.
        kill_s: After how long a killed replica whose processes are still there is killed again.
        stable_s: How long a replica must have answered for its end not to count as a failure.
        settle_s: How long all replicas must have answered before the next is restarted on purpose:
            clients need a moment to find the one that came back.
        first_backoff_s: Pause after the first failure; it doubles with each that follows.
        longest_backoff_s: The longest pause.
        max_failures: Failures within `window_s`, or in a row, at which a replica is given up,
            unless another one serves, or `outage_s` is not over: then it is tried again after the
            longest pause. As many ends of any kind are told.
        window_s: How long a failure, or an end, counts.
        outage_s: How long replicas that had all served are tried on though each is given up: for as
            long as they had served, this at most. A disk that is full overnight ends nothing that
            ran for months, and what failed soon after its start is told soon.
        growth_s: How long a replica must have been ready before it is restarted for what it uses.
            One that needs as much sooner would need it again: many connections are no leak.
        memory_growth_bytes: Growth since it was ready with its versions at which a replica is
            restarted; half of it is told.
        descriptors: Share of the file descriptors a process may open at which its replica is
            restarted; half of it is told.
    """

    canary_interval_s: float = 1.0
    canary_timeout_s: float = 0.75
    busy_s: float = 10.0
    ready_s: float = 60.0
    drain_s: float = 15.0
    kill_s: float = 1.0
    stable_s: float = 3.0
    settle_s: float = 1.0
    first_backoff_s: float = 0.5
    longest_backoff_s: float = 30.0
    max_failures: int = 5
    window_s: float = 120.0
    outage_s: float = 86_400.0
    growth_s: float = 600.0
    memory_growth_bytes: int = 1 << 30
    descriptors: float = 0.8

    def rolling_s(self, num_replicas: int) -> float:
        """Return how long a restart of replicas may take, one after the other."""
        return num_replicas * (self.drain_s + self.ready_s)

    def backoff_s(self, num_failures: int) -> float:
        """Return the pause after a number of failures, one at least."""
        doublings = min(num_failures - 1, 30)
        return min(self.first_backoff_s * 2.0**doublings, self.longest_backoff_s)
