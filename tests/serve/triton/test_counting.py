"""Tests what the model counts and logs of whose requests, in a stub that stands in for Triton's."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from serve.client.front import Front
from serve.client.policy import Policy
from serve.client.steps import Probe, Refresh
from serve.errors import GraphError, NonFiniteError, Refusal
from serve.limits import MAX_CHARS
from serve.triton.names import ENTITIES, GRAPH, OWN_ID, TRAFFIC
from tests.serve.triton.stub import Request, Stub, stub

TEXTS = ("fix the pump", "hose")
WORK = ("requests", "texts", "characters", "batches", "seconds")


@pytest.fixture
def triton() -> Iterator[Stub]:
    with stub() as made:
        yield made


def after(triton: Stub, repository: Path, *executions: list[Request]) -> list[list[object]]:
    """Load the model, execute and unload; return each request's error."""
    model = triton.loaded(repository)
    errors = [[answer.error for answer in model.execute(requests)] for requests in executions]
    model.finalize()
    return errors


def test_what_callers_ask_is_counted(triton: Stub, repository: Path) -> None:
    after(triton, repository, [Request(TEXTS), Request(["x"])], [Request(TEXTS[:1])])
    counted = triton.counted
    assert [counted[name, ""] for name in WORK[:-1]] == [3, 4, 29, 2]
    assert counted["seconds", ""] > 0
    assert counted["tokens", ""] > 0


@pytest.mark.parametrize(
    "request_",
    [
        Request(TEXTS, f"{OWN_ID}canary-7"),
        Request(TEXTS, f"{OWN_ID}warm-up-1"),
        Request([""], "graph", [GRAPH]),
        Request([""], "abc-1", [TRAFFIC]),
    ],
    ids=["canary", "warm-up", "which graph", "which versions"],
)
def test_questions_that_no_caller_asks_are_no_work_of_callers(
    triton: Stub, repository: Path, request_: Request
) -> None:
    after(triton, repository, [request_], [request_])
    assert [triton.counted[name, ""] for name in WORK] == [0] * len(WORK)
    assert not [kind for family, kind in triton.counted if family == "entities"]
    has_run = triton.counted["tokens", ""] > 0
    assert has_run == any(request_.texts), "by tokens the supervisor sees work move on"


def test_a_history_that_is_damaged_later_gives_no_trial_to_those_who_ask(
    triton: Stub, repository: Path, tmp_path: Path
) -> None:
    shutil.copytree(repository, tmp_path, dirs_exist_ok=True)
    model, asked = triton.loaded(tmp_path), Request([""], "abc-1", [TRAFFIC])
    told = []
    for line in ("", '{"step": "retire"}\n'):
        with (tmp_path / "history.jsonl").open("a") as file:
            file.write(line)
        ((answer,),) = [response.output_tensors for response in model.execute([asked])]
        told.append(json.loads(answer.as_numpy()[0, 0]))
    model.finalize()
    assert told[1] == told[0]
    assert told[0]["stable"] == 1


def test_a_canary_merged_with_a_caller_counts_for_nothing(triton: Stub, repository: Path) -> None:
    after(triton, repository, [Request(TEXTS, f"{OWN_ID}canary-7"), Request(["x"])])
    assert [triton.counted[name, ""] for name in WORK[:-1]] == [1, 1, 1, 1]


def test_a_clients_own_questions_are_no_work_of_callers(triton: Stub, repository: Path) -> None:
    client = Front(["a:1"], Policy(), "tagger")
    (endpoint,) = client.dispatcher.endpoints
    steps = Probe(endpoint, 1.0), Refresh(endpoint, 1.0)
    asked = [client._aside(step)[0] for step in steps]
    asked.append(client._make(["pump"], ENTITIES))
    requests = [Request(one.texts, one.request_id, [one.output]) for one in asked]
    after(triton, repository, *([request] for request in requests))
    assert [triton.counted[name, ""] for name in WORK[:-1]] == [1, 1, 4, 1], "the caller's alone"


def test_refusals_are_zeros_from_the_beginning(triton: Stub, repository: Path) -> None:
    after(triton, repository)
    refusals = {kind: number for (family, kind), number in triton.counted.items() if kind}
    assert refusals == dict.fromkeys(Refusal, 0)


def test_a_caller_who_has_gone_is_refused_as_cancelled(triton: Stub, repository: Path) -> None:
    text = "pump " * (MAX_CHARS // 5)  # two of them are more than a portion
    ((first, second),) = after(triton, repository, [Request([text], is_gone=True), Request([text])])
    assert first is not None
    assert (first.code, second) == ("CANCELLED", None)
    assert triton.counted["refusals", "abandoned"] == 1


def test_an_execution_in_which_all_were_refused_is_no_batch(triton: Stub, repository: Path) -> None:
    ((first, second),) = after(
        triton, repository, [Request(["x" * (MAX_CHARS + 1)]), Request([b"\xff"])]
    )
    assert first is not None
    assert second is not None
    assert [triton.counted[name, ""] for name in WORK] == [0] * len(WORK)
    assert triton.counted["refusals", "too_long"] == 1
    assert triton.counted["refusals", "not_unicode"] == 1


@pytest.mark.parametrize(
    ("error", "reason", "code"),
    [
        (NonFiniteError(), "not_finite", "INVALID_ARG"),
        (GraphError("expected logits"), "graph", "INTERNAL"),
    ],
)
def test_what_the_graph_has_no_answer_to_is_counted_by_why(
    triton: Stub,
    repository: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: GraphError,
    reason: str,
    code: str,
) -> None:
    model = triton.loaded(repository)

    def fail(texts: list[str]) -> None:
        raise error

    monkeypatch.setattr(model._tagger, "tag", fail)
    (answer,) = model.execute([Request(TEXTS)])
    model.finalize()
    assert answer.error.code == code
    assert triton.counted["refusals", reason] == 1
    assert [triton.counted[name, ""] for name in WORK] == [0] * len(WORK)


def test_the_log_names_a_request_as_the_clients_log_does(
    triton: Stub, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = triton.loaded(repository)
    model.execute([Request([b"\xff"], "abc-7")])

    def fail(texts: list[str]) -> None:
        raise NonFiniteError

    monkeypatch.setattr(model._tagger, "tag", fail)
    model.execute([Request(TEXTS, "abc-8")])
    model.finalize()
    told = {row["event"]: row for row in triton.records}
    assert told["refused"]["request_id"] == "abc-7"
    assert told["refused"]["reason"] == "not_unicode"
    assert told["no answer"]["request_id"] == "abc-8"
