"""Owns which version a caller asks for. Knows nothing of files and servers.

The share of a version on trial is one of *callers*, not of requests: each client draws a number
once and stays on its side, so it never sees an older version after a newer one. A growing share
moves clients to the new version and none back.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Which versions callers ask for.

    Attributes:
        stable: The version that serves; 0 before the first.
        canary: The version on trial; 0 for none.
        share: Share of callers that get the one on trial, in [0, 1].
        kept: Versions to go back to, the last one to serve first.
    """

    stable: int = 0
    canary: int = 0
    share: float = 0.0
    kept: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what nobody could follow.

        Raises:
            ValueError: If a number is negative, the share none, or given to no version.
        """
        if min(self.stable, self.canary, *self.kept) < 0:
            raise ValueError(f"expected versions of 0 or more, got {asdict(self)}")
        if not 0 <= self.share <= 1 or (self.share and not self.canary):
            raise ValueError(f"expected a share in [0, 1] of a canary, got {asdict(self)}")

    @property
    def served(self) -> tuple[int, ...]:
        """The versions that callers ask for, the stable one first."""
        return tuple(version for version in (self.stable, self.canary) if version)

    def version_for(self, draw: float) -> int:
        """Return the version for a caller who drew a number in [0, 1); 0 for whichever there is."""
        return self.canary if draw < self.share else self.stable

    def to_json(self) -> str:
        """Return it as JSON."""
        return json.dumps(asdict(self))
