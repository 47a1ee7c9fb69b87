"""Tests that a call's steps leave nothing out, and the command that follows lines."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from benchmarks.load.calls import Closed
from benchmarks.load.loops import Ask
from benchmarks.path import __main__ as path
from benchmarks.path.spans import Span, noting
from benchmarks.path.timeline import STEPS, ways
from serve.bundle import Precision
from serve.examples import Example, write_jsonl
from tests.serve.tiny import noisy_lines, write_bundle


def made_up(start: int) -> tuple[list[Span], dict[str, int], list[Span]]:
    """Return what three processes note of a call whose n-th step takes n ns, but for the model's.

    The model reads for 7, and tags for 8 + 9 + 10 + 11; 12 are for JSON, and 13 for the rest.
    """
    ends = [start + sum(range(1, step + 1)) for step in range(len(STEPS) + 1)]
    executed = ends[6]
    client = [
        Span("write", start, ends[1]),
        Span("read", ends[16], ends[17]),
        Span("call", start, ends[18]),
    ]
    trace = {
        "GRPC_WAITREAD_END": ends[2],
        "QUEUE_START": ends[3],
        "COMPUTE_START": ends[4],
        "COMPUTE_INPUT_END": ends[5],
        "COMPUTE_OUTPUT_START": ends[14],
        "GRPC_SEND_START": ends[15],
    }
    model = [
        Span("execute", executed, ends[13]),
        Span("read", executed + 1, executed + 8),
        Span("tag", executed + 8, executed + 46),
        Span("tokenise", executed + 8, executed + 16),
        Span("collate", executed + 20, executed + 29),
        Span("session", executed + 30, executed + 40),
        Span("write", executed + 46, executed + 58),
    ]
    return client, trace, model


def test_steps_are_what_lies_between_the_marks_and_add_up_to_the_call() -> None:
    client, traces, model = [], [], []
    for start in (1_000, 5_000):
        call, trace, ran = made_up(start)
        client += call
        traces.append(trace)
        model += ran
    assert ways(client, traces, model) == [tuple(range(1, len(STEPS) + 1))] * 2


def test_a_call_without_a_trace_or_an_execution_of_its_own_is_left_out() -> None:
    client, trace, model = made_up(1_000)
    assert ways(client, [], model) == []
    assert ways(client, [trace, trace], model) == []
    assert ways(client, [trace], []) == []
    assert ways(client, [trace], [*model, *model]) == []
    assert ways([], [trace], model) == []


def test_a_text_without_words_has_no_session() -> None:
    client, trace, model = made_up(1_000)
    short = [span for span in model if span.name not in ("collate", "session")]
    (way,) = ways(client, [trace], short)
    took = dict(zip(STEPS, way, strict=True))
    assert (took["session"], took["collate"], took["decode"]) == (0, 0, 11 + 9 + 10)
    assert sum(way) == client[-1].end_ns - client[-1].start_ns


class Thing:
    def double(self, number: int) -> int:
        if number < 0:
            raise ValueError(number)
        return 2 * number


def test_noting_changes_nothing_but_the_notes_and_ends_with_the_block() -> None:
    spans: list[Span] = []
    with noting(Thing, "double", "name", spans):
        assert Thing().double(2) == 4
        with pytest.raises(ValueError, match="-1"):
            Thing().double(-1)
    assert Thing().double(3) == 6
    assert [span.name for span in spans] == ["name", "name"]
    assert all(span.start_ns <= span.end_ns for span in spans)


class FakeServer:
    """Either server of a run, and its client."""

    url, process_group = "", 0

    def __init__(self, name: str, done: list[str]) -> None:
        self.name, self.done = name, done

    @contextmanager
    def alone(self) -> Iterator[None]:
        self.done.append(f"{self.name} runs")
        yield
        self.done.append(f"{self.name} halts")

    def tag(self, texts: Sequence[str]) -> None:
        self.done.append(f"{self.name} is asked")

    def traces(self) -> list[dict[str, int]]:
        return []

    spans = traces


def test_calls_with_notes_and_without_take_turns_and_one_server_runs_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One whole run after the other, the cost of noting would be that of a slower hour."""
    done: list[str] = []
    plain, traced = FakeServer("plain", done), FakeServer("traced", done)

    class Client(FakeServer):
        def __init__(self, *_: object, **__: object) -> None:
            super().__init__("traced", done)

        def __enter__(self) -> Client:
            return self

        def __exit__(self, *_: object) -> None:
            pass

    def load(_: Closed, ask: Ask, lines: Sequence[str], *, seconds: float, seed: int) -> list[Any]:
        ask(lines[seed : seed + 1])
        is_noted = hasattr(Client.tag, "__wrapped__")
        done.append(f"{'with' if is_noted else 'without'} notes for {seconds:g} s")
        return []

    monkeypatch.setattr(path, "open_served", lambda *_, **__: nullcontext(plain))
    monkeypatch.setattr(path, "traced_server", lambda *_: nullcontext(traced))
    monkeypatch.setattr(path, "TritonTagger", Client)
    monkeypatch.setattr(path, "running", lambda _: traced.alone())
    monkeypatch.setattr(path, "halt", lambda _: None)
    monkeypatch.setattr(path, "resume", lambda _: None)
    monkeypatch.setattr(path, "run_load", load)
    assert path._measured(path.PathConfig(seconds=30.0), ["a", "b"], tmp_path) == ((), [])
    turns = [
        [
            f"{name} runs",
            f"{name} is asked",
            "without notes for 0.2 s",
            f"{name} is asked",
            f"{notes} notes for 3 s",
            f"{name} halts",
        ]
        for name, notes in (("plain", "without"), ("traced", "with"))
    ]
    assert done == [step for turn in (turns + turns[::-1]) * 5 for step in turn]


@pytest.mark.triton
def test_one_command_follows_lines_and_ends_with_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = write_bundle(tmp_path / "bundle", precisions=(Precision.FP32, Precision.INT8))
    data, output = tmp_path / "lines.jsonl", tmp_path / "results" / "path.json"
    write_jsonl(data, [Example(line, ()) for line in noisy_lines(50, seed=3)])
    arguments = ["--bundle", str(bundle), "--data", str(data), "--seconds", "0.5"]
    assert path.main([*arguments, "--output", str(output)]) == 0
    printed = capsys.readouterr().out.splitlines()
    summary = json.loads(printed[-1])
    assert printed[0] == "| step | p50 us | p90 us | p99 us | share |"
    assert [row["step"] for row in summary["steps"]] == [*STEPS, "all steps", "without notes"]
    samples = json.loads(output.read_text())["samples_ns"]
    assert {len(values) for values in samples.values()} == {summary["num_calls"]}
    assert summary["num_calls"] > 20
    for name, values in samples.items():
        assert min(values) >= 0, f"{name} ends before it begins: the clocks differ"
    assert max(samples["session"]) > 0
    assert sum(row["share"] for row in summary["steps"][:-2]) == pytest.approx(1.0, abs=0.01)


def test_a_missing_bundle_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, missing = tmp_path / "lines.jsonl", tmp_path / "none"
    data.write_text('{"text": "fix pump", "spans": []}\n')
    assert path.main(["--bundle", str(missing), "--data", str(data)]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: {missing / 'manifest.json'}: expected a readable file")
    assert error.count("\n") == 1


@pytest.mark.parametrize("arguments", [["--seconds", "-1"], ["--output", "x.txt"], ["--fast"]])
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        path.parse_args(arguments)
