"""Owns which version a client asks for: its side of a trial, and never an older one than before.

A client draws a number once, so it stays on one side of a trial. It asks a server which versions
there are before its first request and each second after that, beside the requests. Whoever holds
the client's lock may use a route.
"""

from __future__ import annotations

from serve.client.endpoints import Endpoint
from serve.versions.traffic import Traffic

ASK_EVERY_S = 1.0


class Route:
    """What a client knows of versions."""

    def __init__(self, draw: float) -> None:
        """Take the number that was drawn, in [0, 1)."""
        self._draw = draw
        self._version = self._seen = 0
        self._asked: float | None = None
        self._in_vain: set[Endpoint] = set()
        self._is_lacked = False
        self.is_known = False

    @property
    def version(self) -> str:
        """The version to ask for, as Triton takes it; empty for whichever there is."""
        return str(self._version) if self._version else ""

    def learn(self, traffic: Traffic, now: float) -> None:
        """Take what a server says; an older version than before is not gone back to."""
        before = self._version
        if wanted := traffic.version_for(self._draw):
            self._version = max(self._version, self._seen, wanted)
        if self._version != before:
            self.found()
        self._asked, self.is_known = now, True

    def saw(self, version: str) -> None:
        """Take which version answered: where none was asked for, Triton takes the newest."""
        self.found()
        if version.isdecimal():
            self._seen = max(self._seen, int(version))

    def found(self) -> None:
        """Take that the version is served, or is another now."""
        self._in_vain.clear()
        self._is_lacked = False

    def missed(self, endpoint: Endpoint, num_endpoints: int, *, is_lacked: bool) -> None:
        """Take that an endpoint did not answer, and whether one has said that it lacks the version.

        Once all were asked in vain since the version last answered, be it by many requests, no
        server may ever have it again, and it is forgotten. One request alone need not get to all:
        its tries are few, and its time may end at one that is silent.
        """
        self._in_vain.add(endpoint)
        self._is_lacked = self._is_lacked or is_lacked
        if self._is_lacked and len(self._in_vain) == num_endpoints:
            self.forget()

    def redraw(self, draw: float) -> None:
        """Take another number, for a process of its own, unless versions were asked for already."""
        if not self.is_known:
            self._draw = draw

    def forget(self) -> None:
        """Start anew: no server has the version any more, as when a repository was made anew."""
        self._version = self._seen = 0
        self.is_known = False
        self.found()

    def is_due(self, now: float) -> bool:
        """Return whether it is time to ask again; the time counts from now on if it is."""
        if not self.is_known or self._asked is None or now - self._asked < ASK_EVERY_S:
            return False
        self._asked = now
        return True
