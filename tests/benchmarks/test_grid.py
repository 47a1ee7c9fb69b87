"""The grid: what is planned, its statistics, and one small run from end to end."""

from __future__ import annotations

import itertools
import json
import time
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from onnx import numpy_helper

from benchmarks.families import TINY
from benchmarks.grid import __main__ as grid
from benchmarks.grid import run
from benchmarks.grid.engines import FP32, INT8, PYTORCH, build_engines
from benchmarks.grid.growth import growth_of
from benchmarks.grid.operators import OperatorTime, operator_times
from benchmarks.grid.peak import WIDTH, macs_of_call, peak_runner
from benchmarks.grid.plan import TEXT_WORDS, Cell, cells, random_batch, random_text
from benchmarks.grid.products import products_graph
from benchmarks.grid.result import GridResult, Row, Scenario
from benchmarks.grid.rounds import MAX_CALLS, TURN_S, WARM_S, measure_groups, time_calls
from benchmarks.grid.table import tables
from benchmarks.machine import describe_machine
from benchmarks.timing import MIN_ROUNDS
from export.checkpoint import load_checkpoint
from serve.limits import MAX_CHARS


def constant(seconds: float) -> tuple[tuple[float, ...], ...]:
    return ((seconds,), (seconds, seconds), (9 * seconds,))


@pytest.fixture
def result() -> GridResult:
    """Return a result whose figures can be computed by heart."""
    rows = [
        Row(Scenario.BATCH, PYTORCH, 8, 1, constant(8e-3)),
        Row(Scenario.BATCH, INT8, 8, 1, constant(1e-3)),
        Row(Scenario.BATCH, PYTORCH, 16, 1, constant(12e-3)),
        Row(Scenario.BATCH, INT8, 16, 1, constant(2e-3)),
        Row(Scenario.BATCH, PYTORCH, 16, 8, constant(30e-3)),
        Row(Scenario.BATCH, INT8, 16, 8, constant(10e-3)),
        Row(Scenario.PRODUCTS, "on 1", 8, 1, constant(0.8e-3)),
        Row(Scenario.PRODUCTS, "on 2", 8, 1, constant(0.5e-3)),
        Row(Scenario.PRODUCTS, "on 1", 16, 1, constant(1.5e-3)),
        Row(Scenario.PRODUCTS, "on 2", 16, 1, constant(1.6e-3)),
        Row(Scenario.OFFLINE, INT8, 8, 100, constant(1.0)),
        Row(Scenario.OFFLINE, INT8, 16, 50, constant(2.0)),
        Row(Scenario.PEAK, "MatMulInteger", 64, 2, constant(macs_of_call(2) / 1e9)),
        Row(Scenario.PEAK, "MatMulInteger", 256, 2, constant(macs_of_call(2) / 4e9)),
    ]
    return GridResult(
        machine=describe_machine(),
        model="made up",
        macs_per_token=1_000_000,
        systems={PYTORCH: "fp32, torch cpu", INT8: "int8, CPUExecutionProvider"},
        max_abs_diff={PYTORCH: 0.0, INT8: 0.1},
        rows=tuple(rows),
        operators=(
            OperatorTime(8, "QAttention", 2, 300e-6),
            OperatorTime(8, "Gelu", 2, 100e-6),
            OperatorTime(16, "Gelu", 2, 250e-6),
            OperatorTime(16, "QAttention", 2, 250e-6),
        ),
    )


def test_the_grid_stops_at_a_number_of_tokens_and_at_the_models_limit() -> None:
    all_cells = cells(512)
    assert Cell(512, 1) in all_cells
    assert Cell(64, 32) in all_cells
    assert Cell(512, 8) not in all_cells
    assert max(cell.num_tokens * cell.batch_size for cell in all_cells) == 2048
    assert {cell.num_tokens for cell in cells(64)} == {8, 16, 32, 64}
    assert cells(512, max_batch_tokens=8) == [Cell(8, 1)]


def test_inputs_are_seeded_and_within_the_vocabulary() -> None:
    batch = random_batch(Cell(8, 4), vocab_size=10)
    assert batch.input_ids.shape == batch.attention_mask.shape == (4, 8)
    assert (batch.input_ids == random_batch(Cell(8, 4), vocab_size=10).input_ids).all()
    assert batch.input_ids.min() >= 0
    assert batch.input_ids.max() < 10
    longest = random_text(max(TEXT_WORDS))
    assert len(longest.split()) == max(TEXT_WORDS)
    assert len(longest) <= MAX_CHARS


def test_every_round_runs_every_runner_and_their_order_rotates() -> None:
    calls: list[str] = []
    groups = [{"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}]
    (taken,) = measure_groups(groups, seconds=0.0)
    assert len(taken["a"]) == len(taken["b"]) == MIN_ROUNDS
    order = [a for a, b in zip(calls, ["", *calls], strict=False) if a != b]
    assert order == ["a", "b", "a", "b"]  # a b, b a, a b: neighbours of one name show once


def test_calls_are_timed_after_some_that_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = itertools.count()
    monkeypatch.setattr(time, "perf_counter", lambda: 1e-4 * next(ticks))
    began: list[float] = []
    samples = time_calls(lambda: began.append(time.perf_counter()))
    assert len(samples) == MAX_CALLS < len(began)
    assert began[-MAX_CALLS] - began[0] >= WARM_S
    assert min(samples) >= 0


def test_one_call_warms_up_what_takes_long() -> None:
    calls: list[int] = []
    samples = time_calls(lambda: (calls.append(1), time.sleep(max(WARM_S, TURN_S))))
    assert (len(samples), len(calls)) == (1, 2)


def test_ratios_and_shares_follow_from_the_samples(result: GridResult) -> None:
    rows = result.of(Scenario.BATCH, system=INT8)
    assert [result.ratio(row) for row in rows] == pytest.approx([8.0, 6.0, 3.0])
    assert result.peak_macs_per_s == pytest.approx(4e9)  # the fastest rows, not the mean
    short, long = result.of(Scenario.OFFLINE)
    assert result.offline_macs_per_s(short) == pytest.approx(0.8e9)
    assert result.offline_macs_per_s(long) == pytest.approx(0.4e9)


def test_a_lines_bound_is_its_products_on_the_quicker_threads(result: GridResult) -> None:
    assert [result.products_s(length) for length in (8, 16)] == pytest.approx([0.5e-3, 1.5e-3])
    assert [result.most(length) for length in (8, 16)] == pytest.approx([16.0, 8.0])


def test_the_products_are_those_of_the_graph_with_its_own_weights() -> None:
    weights = [
        numpy_helper.from_array(np.arange(6, dtype=np.int8).reshape(2, 3), "a"),
        numpy_helper.from_array(np.ones((3, 2), dtype=np.int8), "b"),
    ]
    session = ort.InferenceSession(products_graph(weights), providers=["CPUExecutionProvider"])
    rows = {"rows2": np.array([[1, 2]], np.uint8), "rows3": np.array([[1, 2, 3]], np.uint8)}
    first, second = session.run(None, rows)
    assert first.tolist() == [[6, 9, 12]]
    assert second.tolist() == [[6, 6]]


def test_growth_takes_lines_alone_and_offline_a_lines_share(result: GridResult) -> None:
    growth = result.growth()
    assert growth[f"{PYTORCH}, batch 1, tokens"].slope_s == pytest.approx(0.5e-3)
    assert growth[f"{PYTORCH}, batch 1, tokens"].base_s == pytest.approx(4e-3)
    assert growth[f"{INT8}, offline, tokens"].slope_s == pytest.approx(30e-3 / 8)


def test_a_line_is_linear_and_a_square_is_not() -> None:
    linear = growth_of(TEXT_WORDS, [1.0 + 0.5 * n for n in TEXT_WORDS])
    assert linear.r2 == pytest.approx(1.0)
    assert (linear.base_s, linear.slope_s) == pytest.approx((1.0, 0.5))
    assert linear.max_deviation_s == pytest.approx(0.0, abs=1e-9)
    assert linear.is_linear
    assert not growth_of(TEXT_WORDS, [1e-6 * n**2 for n in TEXT_WORDS]).is_linear


def test_growth_names_the_length_that_is_farthest_off() -> None:
    growth = growth_of([1, 2, 3, 4, 5], [1.0, 2.0, 4.0, 4.0, 5.0])
    assert growth.deviates_at == 3
    assert growth.max_deviation_s == pytest.approx(0.8)


def test_a_line_through_one_length_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected two different lengths at least, got \[8, 8\]"):
        growth_of([8, 8], [1.0, 2.0])


def test_the_peaks_product_is_that_of_integers_and_counts_every_core() -> None:
    assert macs_of_call(3) == 3 * macs_of_call(1)
    assert macs_of_call(1) % (WIDTH * WIDTH) == 0
    peak_runner(64, 1)()  # runs


def test_a_shape_by_name_is_a_checkpoint_with_one_token_a_word(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert (grid.SHAPES["bert-base"].num_layers, grid.SHAPES["bert-base"].hidden_size) == (12, 768)
    monkeypatch.setitem(grid.SHAPES, "bert-base", TINY)
    with grid._checkpoint(grid.parse_args([])) as folder:
        checkpoint = load_checkpoint(folder)
        assert checkpoint.shape.hidden_size == TINY.hidden_size
        (text,) = checkpoint.encoder.encode([random_text(20)])
        assert len(text.windows[0].input_ids) == 22  # and the two special ones
    assert not folder.exists()


def test_engines_say_what_they_run_and_answer_alike(tiny_checkpoint: Path) -> None:
    checkpoint = load_checkpoint(tiny_checkpoint)
    engines = build_engines(checkpoint)
    assert [engine.name for engine in engines.engines] == [PYTORCH, FP32, INT8]
    assert [engine.precision for engine in engines.engines] == ["fp32", "fp32", "int8"]
    # Width 32, inner width 64, two layers: four products of 32 x 32 and two of 32 x 64 each.
    assert engines.macs_per_token == 2 * (4 * 32 * 32 + 2 * 32 * 64)
    differences = engines.differences()
    assert differences[PYTORCH] == 0.0
    assert differences[FP32] < 1e-4
    assert 0.0 < differences[INT8] < 1.0
    times = operator_times(engines.int8, random_batch(Cell(8, 1), engines.vocab_size))
    nodes = {time.operator: time.num_nodes for time in times}
    # Of each layer: attention with its own product, and three products after it.
    assert (nodes["QAttention"], nodes["MatMulIntegerToFloat"]) == (2, 6)
    assert [time.p50_s for time in times] == sorted((t.p50_s for t in times), reverse=True)
    assert times[0].p50_s > 0
    (group, *_) = run._offline(engines)
    assert group.length * group.count == run.OFFLINE_TOKENS


def test_one_command_measures_the_grid_and_ends_with_json(
    tiny_checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(run, "TEXT_WORDS", (8, 64))
    monkeypatch.setattr(run, "ROWS", (64,))
    output = tmp_path / "deep" / "grid.json"
    arguments = ["--checkpoint", str(tiny_checkpoint), "--seconds", "0", "--output", str(output)]
    assert grid.main(arguments) == 0
    printed = capsys.readouterr().out.splitlines()
    summary = json.loads(printed[-1])
    written = json.loads(output.read_text())
    samples = [row.pop("samples_s") for row in written["rows"]]
    assert written == summary
    assert {len(rounds) for rounds in samples} == {MIN_ROUNDS}
    assert {row["scenario"] for row in summary["rows"]} == {
        "batch", "products", "offline", "text", "peak",
    }  # fmt: skip
    batches = [row for row in summary["rows"] if row["scenario"] == "batch"]
    assert {row["ratio"] for row in batches if row["system"] == PYTORCH} == {1.0}
    assert summary["peak_gmacs_per_s"] > 0
    assert {time["length"] for time in summary["operators"]} == {8, 32}
    assert printed[0].startswith(f"| tokens | lines | {PYTORCH} ms | {FP32} ms | speed-up |")


def test_the_tables_have_a_row_a_cell(result: GridResult) -> None:
    lines = tables(result).splitlines()
    assert "| 16 | 1 | 12.00 | 2.00 | 6.0x |" in lines
    assert "| 8 | 800 | 1 | 20% |" in lines
    assert "| operator | nodes | 8 tokens, us | share | 16 tokens, us | share |" in lines
    assert "| QAttention | 2 | 300 | 75% | 250 | 50% |" in lines
    assert "measured INT8 peak 4 G multiply-adds/s on 2 of them." in lines[-1]


def test_a_checkpoint_that_is_none_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "grid.json"
    assert grid.main(["--checkpoint", str(tmp_path), "--output", str(output)]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: {tmp_path / 'config.json'}: expected a file of the checkpoint")
    assert error.count("\n") == 1
    assert not output.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--seconds", "-1"],
        ["--seconds", "soon"],
        ["--output", "x.txt"],
        ["--shape", "gpt"],
        ["--shape", "minilm", "--checkpoint", "x"],
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        grid.parse_args(arguments)
