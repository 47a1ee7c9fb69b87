"""The facts that go with every figure."""

from __future__ import annotations

import os

import pytest

from benchmarks.machine import describe_machine


def test_a_machine_names_its_hardware_and_the_versions_that_matter() -> None:
    machine = describe_machine()
    assert machine.cpu
    assert machine.num_cores == len(os.sched_getaffinity(0))
    assert machine.memory_bytes > 2**28
    assert {"numpy", "tokenizers", "torch", "transformers"} <= set(machine.versions)
    assert machine.time.endswith("+00:00")


def test_a_machine_without_git_has_no_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert describe_machine().commit is None
