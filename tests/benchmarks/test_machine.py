"""The facts that go with every figure."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.machine import CPU_FLAGS, describe_machine
from benchmarks.result import Result
from serve.running.cores import num_cores

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"


def test_a_machine_names_its_hardware_and_the_versions_that_matter() -> None:
    machine = describe_machine()
    assert machine.cpu
    assert machine.cpu_flags is not None
    assert set(machine.cpu_flags) <= CPU_FLAGS
    assert machine.num_cores == num_cores()
    assert machine.memory_bytes > 2**28
    assert {"numpy", "tokenizers", "torch", "transformers"} <= set(machine.versions)
    assert machine.time.endswith("+00:00")


def test_captions_tell_generations_of_one_name_apart() -> None:
    zen3 = replace(
        describe_machine(),
        cpu="AMD EPYC",
        num_cores=2,
        cpu_family="25",
        cpu_model="1",
        cpu_flags=["avx2"],
    )
    zen5 = replace(zen3, cpu_family="26", cpu_model="2", cpu_flags=["avx2", "avx512_vnni"])
    assert zen3.hardware.startswith("2 cores of AMD EPYC (family 25, model 1, avx2)")
    assert zen5.cores == "2 cores of AMD EPYC (family 26, model 2, avx2, avx512_vnni)"
    arm = replace(zen3, cpu="aarch64", cpu_family=None, cpu_model=None, cpu_flags=[])
    assert arm.cores == "2 cores of aarch64"


def test_a_result_of_before_families_were_recorded_is_read() -> None:
    machine = Result.read(RESULTS / "latency.json").machine
    assert machine.cpu_flags is None
    assert machine.cores == "2 cores of AMD EPYC"


def test_a_machine_without_git_has_no_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert describe_machine().commit is None
