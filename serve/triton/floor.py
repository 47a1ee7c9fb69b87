"""Owns the oldest Triton that is fit for production, and why.

A request for classes of an output of bytes ends Triton 2.51: it divides by the size of an element,
which is 0. https://github.com/triton-inference-server/server/pull/8267 mended that in 2025.
"""

from __future__ import annotations

import re

FLOOR = (2, 73)
_RELEASE = "26.09"


def floor_warning(triton: str) -> str:
    """Return what to say of a Triton of this version; empty if it is new enough.

    Args:
        triton: Its version as it says it, such as "2.51.0".
    """
    found = re.match(r"(\d+)\.(\d+)", triton)
    if found and (int(found[1]), int(found[2])) >= FLOOR:
        return ""
    return (
        f"expected Triton {FLOOR[0]}.{FLOOR[1]} (release {_RELEASE}) or newer, got "
        f"{triton or 'no version'}: it lacks the security fixes since, and one request over "
        "gRPC or HTTP can crash it; good for tests and for callers you trust, on loopback or by "
        f"mutual TLS; in production use NVIDIA's container of release {_RELEASE} or later"
    )
