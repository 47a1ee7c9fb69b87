"""Owns what the processor says of itself, in Linux's words; elsewhere nothing is known of it."""

from __future__ import annotations

from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")


def cpu_field(name: str, cpuinfo: Path = CPUINFO) -> str:
    """Return what stands first under a name, as `model name`; "" where nothing does."""
    try:
        with cpuinfo.open(encoding="utf-8", errors="replace") as lines:
            fields = (line.partition(":") for line in lines)  # no further than it must
            return next((value.strip() for key, _, value in fields if key.strip() == name), "")
    except OSError:
        return ""


def cpu_flags(cpuinfo: Path = CPUINFO) -> set[str]:
    """Return its features, as `avx2`: Arm's have another heading than x86's."""
    return set((cpu_field("flags", cpuinfo) or cpu_field("Features", cpuinfo)).split())
