"""Tests the load test from end to end on a tiny model: both servers, table, files and errors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import systems
from benchmarks.facts import Facts
from benchmarks.load import __main__ as load
from benchmarks.load.calls import Call, Closed, Measured, Open
from benchmarks.load.checks import Check
from benchmarks.load.pipeline_client import open_pipeline
from benchmarks.load.plan import CLOSED, SHARES
from benchmarks.load.plot import plot
from benchmarks.load.result import LoadResult
from benchmarks.load.table import tables
from benchmarks.machine import describe_machine
from benchmarks.workload import Workload
from export.__main__ import main as export_main
from serve.bundle import Precision, Provider
from serve.errors import DataError, ServerError

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def result() -> LoadResult:
    """Return a result whose figures can be computed by heart."""

    def measured(system: str, load: Closed | Open, latency_s: float) -> Measured:
        calls = tuple(Call(number / 10, latency_s, None) for number in range(10))
        return Measured(
            system=system, load=load, seconds=1.0, rounds=(calls, (*calls, Call(0.9, 0.1, "E")))
        )

    return LoadResult(
        machine=describe_machine(),
        workload=Workload(name="lines", num_lines=20, seed=1, num_tokens={4: 15, 9: 5}),
        systems=tuple(Facts(name, "", "int8", "") for name in ("offline", "ours", "theirs")),
        measured=(
            measured("offline", Closed(1, 20), 0.1),
            measured("ours", Closed(8), 0.02),
            measured("theirs", Closed(8), 0.1),
            measured("ours", Open(10.0), 0.02),
            measured("theirs", Open(5.0), 0.1),
        ),
        checks=(
            Check(
                tool="T", load="1 caller", lines_per_s=9.0,
                p50_ms=1.0, p90_ms=2.0, p99_ms=3.0, num_failures=4,
            ),
        ),
    )  # fmt: skip


def test_figures_compare_with_the_embedded_runtime_and_with_the_last_system(
    result: LoadResult,
) -> None:
    offline, ours, theirs, ours_open, _ = map(result.figures, result.measured)
    assert result.offline_lines_per_s == pytest.approx(200.0)
    assert offline["offline_share"] == theirs["p50_ratio"] == 1.0
    assert (ours["lines_per_s"], ours["offline_share"]) == (10.0, 0.05)
    assert (ours["p50_ms"], ours["p50_ratio"]) == (20.0, 5.0)
    assert ours["failures"] == {"E": 1}
    assert offline["p50_ratio"] is ours_open["p50_ratio"] is None


def test_the_tables_have_a_row_a_system_and_load(result: LoadResult) -> None:
    text = tables(result)
    assert "| 8 callers x 1 line | ours | 10 | 5% | 20.00 | 5.0x | 20.00 | 20.00 | 1 E |" in text
    assert "| 10 arrivals/s | ours | 10 | 5% | 20.00 |  | 20.00 | 20.00 | 1 E |" in text
    assert "| T | 1 caller | 9 | 1.00 | 2.00 | 3.00 | 4 |" in text
    for block in text.split("\n\n")[:3]:
        assert len({row.count("|") for row in block.splitlines()}) == 1
    last = text.splitlines()[-1]
    assert last.startswith("20 lines of lines (median 4 tokens), 2 rounds of 1 s, ")
    assert result.machine.software in last


def test_a_result_file_has_the_figures_and_the_raw_samples(
    result: LoadResult, tmp_path: Path
) -> None:
    path = tmp_path / "deep" / "result.json"
    result.write(path)
    body = json.loads(path.read_text())
    rounds = [row.pop("rounds") for row in body["measured"]]
    assert body == json.loads(json.dumps(result.summary()))
    due_us = [100_000 * number for number in range(10)]
    assert rounds[1] == [
        {"due_us": due_us, "latency_us": [20_000] * 10, "failures": {}},
        {
            "due_us": [*due_us, 900_000],
            "latency_us": [*[20_000] * 10, 100_000],
            "failures": {"10": "E"},
        },
    ]
    assert [p.name for p in path.parent.iterdir()] == ["result.json"]


def test_the_plot_is_a_png(result: LoadResult, tmp_path: Path) -> None:
    plot(result, tmp_path / "deep" / "plot.png")
    assert (tmp_path / "deep" / "plot.png").read_bytes().startswith(PNG)


@pytest.mark.triton
def test_one_command_measures_both_servers_and_ends_with_json(
    tiny_checkpoint: Path, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "results" / "load.json"
    arguments = ["--checkpoint", str(tiny_checkpoint), "--bundle", str(bundle), "--rounds", "1"]
    assert load.main([*arguments, "--seconds", "0.1", "--output", str(output)]) == 0
    printed = capsys.readouterr().out.splitlines()
    summary = json.loads(printed[-1])
    names = [facts["name"] for facts in summary["systems"]]
    assert names == ["linetag INT8", "linetag Triton", "FastAPI + pipeline"]
    assert [facts["precision"] for facts in summary["systems"]] == ["int8", "int8", "fp32"]
    of_each = [row["system"] for row in summary["measured"]]
    assert of_each.count(names[1]) == of_each.count(names[2]) == len(CLOSED) + len(SHARES)
    assert {failure for row in summary["measured"] for failure in row["failures"]} == set()
    assert [check["num_failures"] for check in summary["checks"]] == [0, 0]
    written = json.loads(output.read_text())["measured"]
    assert all(row.pop("rounds") for row in written)
    assert written == summary["measured"]
    assert printed[0].startswith("| asked by | | lines/s | of offline")
    assert sorted(path.name for path in output.parent.iterdir()) == ["load.json", "load.png"]


def test_offline_is_the_graph_that_triton_takes_here(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bundle for GPUs has no INT8, and a Triton on a GPU takes none where there is one."""
    asked: list[Precision] = []

    def only_ask(bundle: Path, precision: Precision) -> None:
        asked.append(precision)
        raise DataError("enough")

    monkeypatch.setattr(load, "embedded", only_ask)
    data, bundle = tmp_path / "lines.jsonl", tmp_path / "bundle"
    data.write_text('{"text": "fix pump", "spans": []}\n')
    flags = ["--model", str(tiny_checkpoint), "--output", str(bundle)]
    assert export_main([*flags, "--fp16"]) == 0
    here = [Provider.CPU]
    monkeypatch.setattr(systems, "default_provider", lambda: here[0])
    for here[0] in (Provider.CPU, Provider.CUDA):
        assert load.main(["--bundle", str(bundle), "--data", str(data)]) == 1
    assert asked == [Precision.FP32, Precision.FP16]


def test_a_pipeline_server_that_cannot_start_is_told(tmp_path: Path) -> None:
    with (
        pytest.raises(
            ServerError, match=r"expected the pipeline's server, got .*DataError: .*none"
        ),
        open_pipeline(tmp_path),
    ):
        pass


def test_a_missing_bundle_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, missing = tmp_path / "lines.jsonl", tmp_path / "none"
    data.write_text('{"text": "fix pump", "spans": []}\n')
    assert load.main(["--bundle", str(missing), "--data", str(data)]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: {missing / 'manifest.json'}: expected a readable file")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [["--seconds", "-1"], ["--rounds", "0"], ["--output", "x.txt"], ["--fast"]],
)
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        load.parse_args(arguments)
