"""The GPU benchmark from end to end, rehearsed on the CPU: order, table, JSON, faults, errors."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import gpu
from benchmarks.cuda.budget import Budget
from benchmarks.cuda.device import check_gpu, describe_device
from benchmarks.cuda.engine import EngineFacts
from benchmarks.cuda.parity import Parity
from benchmarks.cuda.record import Cell, Record, SystemRecord
from benchmarks.cuda.run import Outcome, measure
from benchmarks.cuda.sampling import Limits, Step
from benchmarks.cuda.scale import FULL, rounds, tasks
from benchmarks.cuda.subject import Subject, trained_subject
from benchmarks.cuda.table import table
from benchmarks.cuda.tasks import Task, engine_task, single_stream_task
from benchmarks.cuda.variants import NEEDS_CUDA, Source, Variant
from benchmarks.families import BERT_BASE, BERT_LARGE, MINILM
from benchmarks.machine import describe_machine
from export.__main__ import main as export_main
from serve.bundle import Provider
from serve.errors import BundleError, GraphError

QUICK = Limits(least=1, most=1)


def not_kept(outcome: Outcome) -> None:
    """Keep nothing of a run on its way."""


@pytest.fixture
def record() -> Record:
    """Return a record with a figure, a cell without one, and a variant that was not opened."""
    facts = EngineFacts(provider="CUDAExecutionProvider", precision="fp16", nodes={"CUDA": 92})
    cell = Cell(
        model="m",
        variant="fast",
        task="1 x 16 tokens, ms",
        provider=facts.provider,
        num_lines=2,
        shows_lines=False,
        samples_s=(0.001, 0.002, 0.004),
    )
    return Record(
        machine=describe_machine(),
        device={"driver": "580.1"},
        rehearsal=False,
        seed=1,
        budget_s=400.0,
        spent_s=99.6,
        systems=(
            SystemRecord(
                model="m", variant="fast", facts=facts, parity=Parity(0.0012, 0.5, 0.999, 800)
            ),
            SystemRecord(model="m", variant="none", reason="needs a CUDA GPU"),
        ),
        cells=(
            cell,
            replace(cell, task="all, lines/s", shows_lines=True),
            replace(cell, task="late, ms", samples_s=(), reason="the time was used up"),
        ),
    )


def test_the_table_shows_figures_providers_and_why_a_cell_is_empty(record: Record) -> None:
    head, rule, place, parity, one, many, late, _, *notes, _, caption = table(record).splitlines()
    assert head == "|  | fast | none |"
    assert {row.count("|") for row in (head, rule, place, parity, one, many, late)} == {4}
    assert place == "| **m** runs on | CUDAExecutionProvider, 92 nodes | n/m 1 |"
    assert parity == "| logits off PyTorch FP32 by | 0.0012, 99.9% of tags |  |"
    assert one == "| 1 x 16 tokens, ms | 2.000 |  |"
    assert many == "| all, lines/s | 1,000 |  |"
    assert late == "| late, ms | n/m 2 |  |"
    assert notes == [
        "n/m 1: not measured: needs a CUDA GPU",
        "n/m 2: not measured: the time was used up",
    ]
    assert "(driver 580.1)" in caption
    assert "100 s of 400" in caption


def test_the_file_keeps_raw_samples_and_the_summary_does_not(
    record: Record, tmp_path: Path
) -> None:
    path = tmp_path / "deep" / "gpu.json"
    record.write(path)
    body = json.loads(path.read_text())
    assert body["cells"][0]["samples_s"] == [0.001, 0.002, 0.004]
    assert body["cells"][0]["p50_ms"] == 2.0
    assert body["cells"][0]["provider"] == "CUDAExecutionProvider"
    assert body["cells"][2]["reason"] == "the time was used up"
    assert "p50_ms" not in body["cells"][2]
    assert body["systems"][0]["facts"]["nodes"] == {"CUDA": 92}
    assert "samples_s" not in record.summary()["cells"][0]
    assert [p.name for p in path.parent.iterdir()] == ["gpu.json"]


def test_only_faults_are_faults(record: Record) -> None:
    assert record.faults == []
    bad = replace(record.systems[1], reason="expected logits", failed=True)
    assert replace(record, systems=(bad, bad)).faults == ["m, none: expected logits"]


def test_what_matters_most_comes_first_and_compiling_last() -> None:
    order = list(rounds(FULL))
    assert [family for family, _ in order] == [BERT_BASE, BERT_LARGE, MINILM] * 2
    assert [variants for _, variants in order[3:]] == [(Variant.COMPILED,)] * 3
    assert set(order[0][1]) == set(Variant) - {Variant.COMPILED}


def test_the_full_grid_is_the_one_asked_for(source: Source) -> None:
    names = [task.name for task in tasks(FULL, source.checkpoint.encoder)]
    grid = {f"{b} x {t} tokens, ms" for b in (1, 8, 32) for t in (16, 32, 128, 384)}
    assert grid <= set(names)
    assert len(set(names)) == len(names) == len(grid) + 7
    assert names[0] == "16 to 32 tokens, text in, entities out, one by one, ms"
    assert names[2] == "32 of passages (mean 177), padded to 384, lines/s"
    engine = [name for name in names if name in grid]
    assert engine[0] == "1 x 128 tokens, ms"


def test_a_model_with_lines_of_its_own_is_measured_on_them(tiny_checkpoint: Path) -> None:
    subject = trained_subject(tiny_checkpoint, None)
    encoder = subject.load().checkpoint.encoder  # takes 64 tokens
    names = [task.name for task in tasks(FULL, encoder, subject.texts)]
    assert names[:2] == [
        "own lines, text in, entities out, one by one, ms",
        "own lines, text in, entities out, all at once, lines/s",
    ]
    assert "30 of lines, padded to 64, lines/s" in names
    assert "1 x 32 tokens, ms" in names
    assert not any("128 tokens" in name or "384 tokens" in name for name in names)


def test_one_broken_model_stops_no_other(source: Source) -> None:
    def broken() -> Source:
        raise RuntimeError("out of memory\nat line 3")

    subjects = [
        Subject("broken", (Variant.FP16,), broken),
        Subject("tiny", (Variant.FP32, Variant.PACKED), lambda: source),
    ]
    task = replace(engine_task(2, 8), limits=QUICK)
    outcome = measure(
        subjects, lambda *_: [task], provider=Provider.CPU, budget=Budget(1e9), keep=not_kept
    )
    rows = [(s.model, s.variant, s.reason, s.failed) for s in outcome.systems]
    assert rows == [
        ("broken", Variant.FP16, "out of memory", True),
        ("tiny", Variant.FP32, None, False),
        ("tiny", Variant.PACKED, "needs a CUDA GPU", False),
    ]
    (cell,) = outcome.cells
    assert cell.variant == Variant.FP32
    assert cell.num_lines == 2
    assert len(cell.samples_s) == 3


def test_a_graph_with_other_answers_is_not_measured(source: Source, spoilt: bytes) -> None:
    bad = Source(source.checkpoint, fp16=spoilt)
    subject = Subject("spoilt", (Variant.FP16, Variant.FP32), lambda: bad)
    task = replace(engine_task(1, 8), limits=QUICK)
    outcome = measure(
        [subject], lambda *_: [task], provider=Provider.CPU, budget=Budget(1e9), keep=not_kept
    )
    wrong, right = outcome.systems
    assert wrong.failed
    assert wrong.reason is not None
    assert wrong.reason.startswith("expected logits within")
    assert right.reason is None
    assert [cell.variant for cell in outcome.cells] == [Variant.FP32]


def test_what_does_not_fit_into_the_budget_says_so(source: Source) -> None:
    now = [0.0]

    def expensive() -> Source:
        now[0] += 5.0
        return source

    subjects = [
        Subject("first", (Variant.FP32,), expensive),
        Subject("second", (Variant.FP32,), expensive),
    ]
    task = replace(engine_task(1, 8), limits=QUICK)
    budget = Budget(6.0, clock=lambda: now[0])

    def at_work(*_: object) -> list[Task]:
        now[0] += 1.0  # opening took the rest
        return [task]

    outcome = measure(subjects, at_work, provider=Provider.CPU, budget=budget, keep=not_kept)
    (cell,) = outcome.cells
    assert cell.samples_s == ()
    assert cell.reason == "the time budget of 6 s was used up"
    first, second = outcome.systems
    assert first.reason is None
    assert second.reason == cell.reason
    assert not second.failed


def test_a_trained_tagger_is_held_to_the_gate(tiny_checkpoint: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    arguments = ["--model", str(tiny_checkpoint), "--output", str(folder), "--fp16"]
    assert export_main(arguments) == 0
    subject = trained_subject(tiny_checkpoint, folder)
    subject = replace(subject, variants=(Variant.FP16, Variant.SERVED))
    task = replace(single_stream_task("texts", ["replace oil pump"]), limits=QUICK)
    outcome = measure(
        [subject], lambda *_: [task], provider=Provider.CPU, budget=Budget(1e9), keep=not_kept
    )
    for system in outcome.systems:
        assert system.f1 == pytest.approx(system.f1_before, abs=0.001)
        assert system.f1 is not None
        assert system.f1 > 0.9
    assert [len(cell.samples_s) for cell in outcome.cells] == [3, 3]


def test_a_bundle_of_another_checkpoint_is_refused(
    tiny_checkpoint: Path, tmp_path: Path, source: Source
) -> None:
    folder = tmp_path / "bundle"
    assert export_main(["--model", str(tiny_checkpoint), "--output", str(folder), "--fp16"]) == 0
    with pytest.raises(
        BundleError, match=r"expected a bundle of .*, got one of another checkpoint"
    ):
        trained_subject(source.checkpoint.folder, folder)


def test_without_a_gpu_the_command_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert describe_device() == {}
    with pytest.raises(GraphError, match="PyTorch sees no GPU"):
        check_gpu()
    assert gpu.main([]) == 1
    out, error = capsys.readouterr()
    assert out == ""
    assert error.startswith("error: expected a CUDA GPU for PyTorch and ONNX Runtime, got")
    assert error.endswith("or rehearse with --cpu\n")
    assert error.count("\n") == 1


def test_the_rehearsal_goes_through_everything_and_ends_with_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "gpu.json"
    assert gpu.main(["--cpu", "--output", str(output)]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    summary = json.loads(last)
    assert summary["rehearsal"] is True
    opened = {row["variant"] for row in summary["systems"] if row["reason"] is None}
    assert opened == {str(v) for v in Variant if v not in NEEDS_CUDA}
    reasons = {row["reason"] for row in summary["systems"]} - {None}
    assert reasons == {"needs a CUDA GPU"}
    done = {(row["task"], row["variant"]) for row in summary["cells"]}
    assert {task for task, _ in done} == {line.split(" | ")[0][2:] for line in lines[4:15]}
    assert all(row["p50_ms"] > 0 for row in summary["cells"])
    kept = json.loads(output.read_text())
    assert all(len(row["samples_s"]) >= 3 for row in kept["cells"])
    assert "A rehearsal: no figure means anything." in "\n".join(lines)


def test_a_run_that_is_interrupted_leaves_what_it_has_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "gpu.json"
    first, second = (replace(engine_task(1, length), limits=QUICK) for length in (8, 9))

    def interrupted(*_: object) -> list[Step]:
        raise KeyboardInterrupt

    monkeypatch.setattr(gpu, "tasks", lambda *_: [first, replace(second, steps=interrupted)])
    assert gpu.main(["--cpu", "--output", str(output)]) == 1
    error = f"error: interrupted; what was measured, if anything, is in {output}\n"
    assert capsys.readouterr().err == error
    kept = json.loads(output.read_text())
    assert {cell["task"] for cell in kept["cells"]} == {first.name}
    assert all(cell["samples_s"] for cell in kept["cells"])


def test_a_rehearsal_does_not_replace_what_was_measured() -> None:
    assert gpu.parse_args(["--cpu"]).target != gpu.parse_args([]).target
    assert gpu.parse_args([]).target == Path("benchmarks/results/gpu.json")


@pytest.mark.parametrize(
    "arguments",
    [["--budget-s", "0"], ["--budget-s", "nan"], ["--output", "x.txt"], ["--bundle", "x"], ["-x"]],
)
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        gpu.parse_args(arguments)
