"""The memory curve: its lines, its verdict with a control that leaks, and a run from end to end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from mmap import mmap
from pathlib import Path

import pytest

from benchmarks.memory import __main__ as memory
from benchmarks.memory.curve import MAX_GROWTH_MB, Curve, follow, resident_bytes
from benchmarks.memory.group import group_bytes
from benchmarks.memory.lines import LONG_WORDS, MAX_WORDS, batches
from serve.limits import MAX_CHARS

MB = 10**6


def curve(grow: float, *, warm_mb: float = 0.0) -> Curve:
    """Return a curve that grows by so many MB per 1,000 lines, and by `warm_mb` before 1,000."""
    lines = tuple(range(0, 10_001, 100))
    sizes = (300 * MB + grow * n / 1000 * MB + warm_mb * min(n, 1000) / 1000 * MB for n in lines)
    return Curve("made up", lines, tuple(map(int, sizes)))


@pytest.mark.parametrize("grow", [-3.0, 0.0, 0.5, 2.0, 40.0])
def test_growth_is_the_slope_after_warm_up(grow: float) -> None:
    assert curve(grow, warm_mb=100.0).growth_mb == pytest.approx(grow, abs=1e-3)
    assert curve(grow, warm_mb=100.0).is_flat == (grow <= MAX_GROWTH_MB)


def test_a_curve_without_samples_after_warm_up_is_refused() -> None:
    with pytest.raises(ValueError, match="expected two samples after the warm-up, got 1"):
        _ = Curve("short", (0, 600), (1, 2)).growth_mb


def test_a_tagger_that_leaks_is_flagged_and_one_that_does_not_is_not(
    capsys: pytest.CaptureFixture[str],
) -> None:
    kept: list[mmap] = []

    def leak(texts: Sequence[str]) -> None:
        for _ in texts:  # pages of its own: the heap may have room left by other tests
            kept.append(mmap(-1, 50_000))
            kept[-1].write(b"x" * 50_000)

    leaking = follow("leaks", leak, batches(1000), resident_bytes)
    flat = follow("flat", len, batches(1000), resident_bytes)
    assert leaking.growth_mb == pytest.approx(50, rel=0.3)
    assert not leaking.is_flat
    assert flat.is_flat
    assert memory.verdict([flat]) == 0
    assert memory.verdict([flat, leaking]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: expected flat memory, got growth per 1,000 lines: leaks by ")
    assert error.count("\n") == 1


def test_lines_are_seeded_of_mixed_length_and_all_can_be_tagged() -> None:
    made = list(batches(10_000))
    assert made == list(batches(10_000))
    lines = [line for batch in made for line in batch]
    assert len(lines) == 10_000
    assert {len(batch) for batch in made} >= {1, 2, 8, 32}
    words = [len(line.split()) for line in lines]
    assert min(words) == 1
    assert max(words) == LONG_WORDS
    assert len(set(words)) > MAX_WORDS / 2
    assert max(map(len, lines)) <= MAX_CHARS


def test_a_curve_begins_before_and_ends_after_the_last_line() -> None:
    sizes = iter(range(100))
    taken = follow("counts", len, batches(600), lambda: next(sizes))
    assert (taken.lines[0], taken.lines[-1]) == (0, 600)
    assert taken.bytes == tuple(range(len(taken.lines)))
    assert (taken.at(0), taken.at(601)) == (taken.bytes[0], taken.bytes[-1])


def test_a_groups_memory_is_that_of_its_processes() -> None:
    code = "import os; kept = bytearray(b'x' * 60_000_000); print('ready', flush=True); input()"
    started = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    with started as process:
        assert process.stdout
        process.stdout.readline()
        assert 60 * MB < group_bytes(process.pid) < 120 * MB
        process.communicate(b"\n")
    assert group_bytes(process.pid) == 0
    assert group_bytes(os.getpgid(0)) > 0


def test_one_command_measures_each_graph_in_its_own_process_and_ends_with_json(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "deep" / "memory.json"
    arguments = ["--bundle", str(bundle), "--lines", "500", "--processes", "1"]
    status = memory.main([*arguments, "--output", str(output)])
    printed = capsys.readouterr().out.splitlines()
    summary = json.loads(printed[-1])
    assert [curve["name"] for curve in summary["curves"]] == ["fp32", "int8"]
    # So few lines end in the warm-up, where a curve may well grow.
    assert status == int(not all(curve["is_flat"] for curve in summary["curves"]))
    written = json.loads(output.read_text())
    for row in written["curves"]:
        assert row["lines"][-1] == 500
        assert len(row["lines"]) == len(row["bytes"])
        assert max(row["bytes"]) < 200 * MB, "a child holds more than a tagger: torch, perhaps"
    for first in summary["first_answer_s"].values():
        assert first["from_load_s"] == pytest.approx(first["load_s"] + first["answer_s"])
    assert len(written["first_answer_samples"]["int8"]) == 1
    assert output.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert sorted(p.name for p in output.parent.iterdir()) == ["memory.json", "memory.png"]


def test_a_missing_or_damaged_bundle_is_one_line(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert memory.main(["--bundle", str(tmp_path)]) == 1
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    for file in bundle.iterdir():
        (damaged / file.name).write_bytes(file.read_bytes())
    (damaged / "model.onnx").write_bytes(b"no graph")
    assert memory.main(["--bundle", str(damaged)]) == 1
    missing, broken = capsys.readouterr().err.splitlines()
    assert missing.startswith(f"error: {tmp_path / 'manifest.json'}: expected a readable file")
    assert broken.startswith(f"error: {damaged / 'model.onnx'}: expected ")


@pytest.mark.parametrize(
    "arguments", [["--lines", "0"], ["--lines", "499"], ["--processes", "x"], ["--output", "x.txt"]]
)
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        memory.parse_args(arguments)
