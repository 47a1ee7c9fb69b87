"""Owns which version a client asks for: its side of a trial, and never an older one than before.

A client draws a number once, so it stays on one side of a trial. It asks a server which versions
there are before its first request and each second after that, beside the requests. Whoever holds
the client's lock may use a route.
"""

from __future__ import annotations

from serve.versions.traffic import Traffic

ASK_EVERY_S = 1.0


class Route:
    """What a client knows of versions."""

    def __init__(self, draw: float) -> None:
        """Take the number that was drawn, in [0, 1)."""
        self._draw = draw
        self._version = self._seen = 0
        self._asked: float | None = None
        self.is_known = False

    @property
    def version(self) -> str:
        """The version to ask for, as Triton takes it; empty for whichever there is."""
        return str(self._version) if self._version else ""

    def learn(self, traffic: Traffic, now: float) -> None:
        """Take what a server says; an older version than before is not gone back to."""
        if wanted := traffic.version_for(self._draw):
            self._version = max(self._version, self._seen, wanted)
        self._asked, self.is_known = now, True

    def saw(self, version: str) -> None:
        """Take which version answered: where none was asked for, Triton takes the newest."""
        if version.isdecimal():
            self._seen = max(self._seen, int(version))

    def redraw(self, draw: float) -> None:
        """Take another number, for a process of its own, unless versions were asked for already."""
        if not self.is_known:
            self._draw = draw

    def forget(self) -> None:
        """Start anew: no server has the version any more, as when a repository was made anew."""
        self._version = self._seen = 0
        self.is_known = False

    def is_due(self, now: float) -> bool:
        """Return whether it is time to ask again; the time counts from now on if it is."""
        if not self.is_known or self._asked is None or now - self._asked < ASK_EVERY_S:
            return False
        self._asked = now
        return True
