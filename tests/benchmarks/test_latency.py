"""The benchmark from end to end on a tiny model: table, files, last line and errors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import latency, report
from benchmarks.facts import Facts
from benchmarks.machine import describe_machine
from benchmarks.plot import plot
from benchmarks.result import Measured, Result
from benchmarks.systems import Pipeline, embedded, open_systems, unfused
from benchmarks.timing import MIN_ROUNDS, Samples
from benchmarks.workload import Workload, describe_lines, read_lines
from export.__main__ import main as export_main
from serve.bundle import Bundle, Precision
from serve.errors import BundleError, DataError

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def result() -> Result:
    """Return a result whose figures can be computed by heart."""

    def measured(name: str, milliseconds: float) -> Measured:
        latency_s = ((1e-3 * milliseconds,) * 4,) * 3
        facts = Facts(name, "made up", "fp32", "a slide rule", 8 if name == "slow" else None)
        samples = Samples(latency_s, (8e-3 * milliseconds, 10e-3 * milliseconds, 1.0))
        return Measured(facts=facts, num_equal_lines=20, samples=samples)

    return Result(
        machine=describe_machine(),
        workload=Workload(name="lines", num_lines=20, seed=1, num_tokens={4: 15, 9: 5}),
        systems=(measured("slow", 10.0), measured("fast", 2.0)),
    )


def test_figures_and_ratios_follow_from_the_samples(result: Result) -> None:
    slow, fast = (result.figures(system) for system in result.systems)
    assert slow["p50_ms"] == pytest.approx(10.0)
    assert slow["lines_per_s"] == pytest.approx(20 / 0.1)
    assert slow["p50_ratio"] == slow["lines_per_s_ratio"] == 1.0
    assert fast["p50_ratio"] == fast["p99_ratio"] == pytest.approx(5.0)
    assert fast["lines_per_s"] == pytest.approx(20 / 0.02)
    assert fast["lines_per_s_ratio"] == pytest.approx(5.0)


def test_the_table_has_a_row_a_system_and_says_where_it_was_measured(result: Result) -> None:
    head, rule, slow, fast, _, caption = report.table(result).splitlines()
    assert head.count("|") == rule.count("|") == slow.count("|") == fast.count("|")
    assert slow.startswith("| slow | fp32, a slide rule | 10.00 | 1.0x |")
    assert fast == (
        "| fast | fp32, a slide rule | 2.00 | 5.0x | 2.00 | 2.00 | 1,000 | 5.0x | 100.0% |"
    )
    assert caption.startswith("20 lines of lines (median 4 tokens), 3 rounds, ")
    assert f"{result.machine.num_cores} cores of {result.machine.cpu}" in caption


def test_a_result_file_is_read_back_as_it_was(result: Result, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "result.json"
    result.write(path)
    again = Result.read(path)
    assert again == result
    assert [p.name for p in path.parent.iterdir()] == ["result.json"]


@pytest.mark.parametrize(
    "content", [None, "", "[]", "{}", '{"format": 0}', '{"format": 1}', '{"format": 1, "x": 1}']
)
def test_a_file_that_is_no_result_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None
) -> None:
    path = tmp_path / "result.json"
    if content is not None:
        path.write_text(content)
    assert report.main([str(path)]) == 1
    out, error = capsys.readouterr()
    assert out == ""
    assert error.startswith(
        f"error: {path}: expected a result of python -m benchmarks.latency of format 1, got "
    )
    assert error.count("\n") == 1


def test_report_prints_the_table_of_a_file(
    result: Result, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result.write(tmp_path / "result.json")
    assert report.main([str(tmp_path / "result.json")]) == 0
    assert capsys.readouterr().out == report.table(result) + "\n"


def test_the_plot_is_a_png(result: Result, tmp_path: Path) -> None:
    plot(result, tmp_path / "deep" / "plot.png")
    assert (tmp_path / "deep" / "plot.png").read_bytes().startswith(PNG)


def test_systems_say_what_they_run_and_answer_alike(tiny_checkpoint: Path, bundle: Path) -> None:
    lines = read_lines(tiny_checkpoint / "dev.jsonl")
    systems = [
        Pipeline(tiny_checkpoint, lines),
        unfused(tiny_checkpoint),
        embedded(bundle, Precision.FP32),
        embedded(bundle, Precision.INT8),
    ]
    assert [system.facts.precision for system in systems] == ["fp32", "fp32", "fp32", "int8"]
    assert len({system.facts.name for system in systems}) == len(systems)
    measured = latency.measure_systems(systems, lines, seconds=0.0)
    assert [system.num_equal_lines for system in measured[:3]] == [len(lines)] * 3
    for system in measured:
        assert len(system.samples.offline_s) == len(system.samples.latency_s) == MIN_ROUNDS
        assert {len(samples) for samples in system.samples.latency_s} == {len(lines)}
        assert min(system.samples.offline_s) > 0


def test_lines_come_in_a_seeded_order_with_their_lengths(
    tiny_checkpoint: Path, bundle: Path
) -> None:
    path = tiny_checkpoint / "dev.jsonl"
    lines = read_lines(path)
    assert lines == read_lines(path)
    assert lines != sorted(lines)
    workload = describe_lines(path, lines, Bundle.load(bundle).encoder())
    assert workload.name == "checkpoint/dev.jsonl"
    assert sum(workload.num_tokens.values()) == workload.num_lines == len(lines)


@pytest.mark.triton
@pytest.mark.usefixtures("optimum_python")
def test_one_command_measures_all_six_and_ends_with_json(
    tiny_checkpoint: Path, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "result.json"
    arguments = ["--checkpoint", str(tiny_checkpoint), "--bundle", str(bundle), "--seconds", "0"]
    assert latency.main([*arguments, "--output", str(output)]) == 0
    printed = capsys.readouterr().out.splitlines()
    summary = json.loads(printed[-1])
    names = [system["name"] for system in summary["systems"]]
    assert names == [
        "transformers pipeline",
        "optimum pipeline",
        "ONNX Runtime",
        "linetag FP32",
        "linetag INT8",
        "linetag Triton",
    ]
    assert [system["precision"] for system in summary["systems"]][4:] == ["int8", "int8"]
    equal_lines = [system["num_equal_lines"] for system in summary["systems"]]
    assert equal_lines[:4] == [summary["workload"]["num_lines"]] * 4
    assert "latency_s" not in summary["systems"][0]
    assert printed[0].startswith("| | runs on | p50 ms")
    assert Result.read(output).summary()["systems"] == summary["systems"]
    assert output.with_suffix(".png").read_bytes().startswith(PNG)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["result.json", "result.png"]


def test_a_missing_bundle_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, missing = tmp_path / "lines.jsonl", tmp_path / "none"
    data.write_text('{"text": "fix pump", "spans": []}\n')
    assert latency.main(["--bundle", str(missing), "--data", str(data)]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: {missing / 'manifest.json'}: expected a readable file")
    assert error.count("\n") == 1


@pytest.mark.parametrize("content", [None, "", "\n"])
def test_no_lines_is_an_error_that_names_the_flag(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "lines.jsonl"
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError, match=r"expected .*lines to measure on, got none.*--data"):
        read_lines(path)


def test_an_unexported_precision_is_refused(tiny_checkpoint: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    assert export_main(["--model", str(tiny_checkpoint), "--output", str(folder)]) == 0

    with (
        pytest.raises(BundleError, match="expected a graph in int8"),
        open_systems(tiny_checkpoint, folder, ["fix pump"], optimum=False),
    ):
        pass


@pytest.mark.parametrize(
    "arguments", [["--seconds", "-1"], ["--seconds", "nan"], ["--output", "x.txt"], ["--fast"]]
)
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        latency.parse_args(arguments)
