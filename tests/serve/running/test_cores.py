"""Tests how many cores a process counts on: its affinity's, and no more than its cgroups allow."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from serve.running.cores import num_cores

V1 = {"cpu.cfs_quota_us": "-1", "cpu.cfs_period_us": "100000"}


@pytest.fixture(autouse=True)
def _eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))


def counted(tmp_path: Path, groups: str, files: dict[str, str]) -> int:
    for name, content in files.items():
        path = tmp_path / "mount" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")
    (tmp_path / "cgroup").write_text(groups)
    return num_cores(tmp_path / "cgroup", tmp_path / "mount")


@pytest.mark.parametrize(
    ("quota", "expected"),
    [
        ("max 100000", 8),
        ("50000 100000", 1),
        ("199999 100000", 1),
        ("200000 100000", 2),
        ("60000 20000", 3),
        ("1600000 100000", 8),
        ("100000 0", 8),
        ("", 8),
        ("some words", 8),
    ],
)
def test_a_quota_counts_in_whole_cores(tmp_path: Path, quota: str, expected: int) -> None:
    assert counted(tmp_path, "0::/\n", {"cpu.max": quota}) == expected


def test_the_smallest_quota_up_the_tree_counts(tmp_path: Path) -> None:
    files = {
        "a/cpu.max": "200000 100000",
        "a/b/cpu.max": "max 100000",
        "a/b/c/cpu.max": "400000 100000",
        "beside/cpu.max": "100000 100000",
    }
    assert counted(tmp_path, "0::/a/b/c\n", files) == 2


@pytest.mark.parametrize("controllers", ["cpu", "cpu,cpuacct"])
def test_version_1_counts_beside_version_2(tmp_path: Path, controllers: str) -> None:
    files = {f"cpu/{name}": value for name, value in V1.items()} | {
        "cpu/pod/cpu.cfs_quota_us": "300000",
        "cpu/pod/cpu.cfs_period_us": "100000",
        "pod/cpu.cfs_quota_us": "100000",  # no controller of that name is at the root
    }
    groups = f"8:cpuset:/\n3:memory:/pod\n1:{controllers}:/pod/inner\n0::/\n"
    assert counted(tmp_path, groups, files) == 3


def test_a_container_that_sees_its_own_cgroup_as_the_root_goes_by_it(tmp_path: Path) -> None:
    files = V1 | {"cpu.cfs_quota_us": "200000"}
    files = {f"cpu/{name}": value for name, value in files.items()}
    assert counted(tmp_path, "4:cpu:/docker/0123\n", files) == 2
    (tmp_path / "mount" / "cpu.max").write_text("100000 100000\n")
    assert counted(tmp_path, "0::/../other/pod\n", {}) == 1


def test_without_cgroups_all_cores_count(tmp_path: Path) -> None:
    assert num_cores(tmp_path / "none", tmp_path) == 8
    assert counted(tmp_path, "0::/gone\n", {}) == 8
