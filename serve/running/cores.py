"""Owns how many cores this process may use: those that it may run on, and its cgroups' quotas.

A container's limit (Docker's `--cpus`, Kubernetes' `limits.cpu`) leaves all cores in sight. Threads
beyond it use up the time of a period, 100 ms, in a part of it; then all stand still for the rest.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from math import inf
from pathlib import Path

_GROUPS = Path("/proc/self/cgroup")
_MOUNT = Path("/sys/fs/cgroup")
_FILES = (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us"))
"""Where a cgroup has its quota and period, in version 2 and in version 1."""


def num_cores(groups: Path = _GROUPS, mount: Path = _MOUNT) -> int:
    """Return how many cores' whole time this process may use, at least 1."""
    return max(1, int(min([len(os.sched_getaffinity(0)), *_quotas(groups, mount)])))


def _quotas(groups: Path, mount: Path) -> Iterator[float]:
    """Yield the quota in cores of this process's cgroup, and of each above it that is in sight."""
    try:
        lines = os.fsdecode(groups.read_bytes()).splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        controllers, _, path = line.partition(":")[2].partition(":")
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = mount / "cpu" if controllers else mount
        folder = root / path.lstrip("/")  # a container may see its own alone, as the root
        above = [folder, *folder.parents]
        yield from map(_quota, above[: above.index(root) + 1])


def _quota(folder: Path) -> float:
    for names in _FILES:
        try:
            quota, period = map(int, " ".join((folder / n).read_text() for n in names).split())
        except (OSError, ValueError):  # the other version's; or "max"
            continue
        if quota > 0 < period:  # -1 is none
            return quota / period
    return inf
