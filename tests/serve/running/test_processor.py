"""Tests what is read of a processor."""

from __future__ import annotations

from pathlib import Path

import pytest

from serve.running.processor import cpu_field, cpu_flags

X86 = """processor\t: 0
cpu family\t: 25
model\t\t: 17
model name\t: AMD EPYC: one of them
flags\t\t: fpu avx2 avx512_vnni
bugs\t\t: avx512_bf16

processor\t: 1
cpu family\t: 26
"""


@pytest.fixture
def cpuinfo(tmp_path: Path) -> Path:
    path = tmp_path / "cpuinfo"
    path.write_text(X86)
    return path


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cpu family", "25"),
        ("model", "17"),
        ("model name", "AMD EPYC: one of them"),
        ("flag", ""),
    ],
)
def test_a_field_is_the_first_of_its_name(cpuinfo: Path, name: str, expected: str) -> None:
    assert cpu_field(name, cpuinfo) == expected


def test_flags_are_those_of_either_heading(cpuinfo: Path) -> None:
    assert cpu_flags(cpuinfo) == {"fpu", "avx2", "avx512_vnni"}
    cpuinfo.write_bytes(b"Hardware : \xff\nFeatures\t: fp bf16\n")
    assert cpu_flags(cpuinfo) == {"fp", "bf16"}


def test_a_system_without_the_file_says_nothing(tmp_path: Path) -> None:
    assert cpu_field("model name", tmp_path / "none") == ""
    assert cpu_flags(tmp_path / "none") == set()
