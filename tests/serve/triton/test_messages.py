"""Tests that an answer is taken only by the request it belongs to."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import pytest
from tritonclient.grpc import service_pb2 as pb

from serve.errors import AnswerError
from serve.triton.messages import Reply, read_graph, read_response, write_request
from serve.triton.names import ENTITIES, GRAPH, NUM_CHARS
from tests.serve.fake_triton import proper_answer, texts_of, words

TEXTS = ["fix pump", "", "é 🔧 x"]
ID = "client-7"


def asked(texts: list[str] = TEXTS, output: str = ENTITIES) -> pb.ModelInferRequest:
    return pb.ModelInferRequest.FromString(write_request(texts, output, request_id=ID))


def read(response: Any, texts: list[str] = TEXTS) -> Reply:
    return read_response(response, texts, ENTITIES, request_id=ID)


def test_a_request_names_itself_the_model_and_what_it_wants() -> None:
    request = pb.ModelInferRequest.FromString(
        write_request(TEXTS, GRAPH, request_id=ID, model="other")
    )
    assert (request.id, request.model_name) == (ID, "other")
    assert [output.name for output in request.outputs] == [GRAPH, NUM_CHARS]
    (tensor,) = request.inputs
    assert (tensor.name, tensor.datatype, list(tensor.shape)) == ("TEXT", "BYTES", [3, 1])
    assert texts_of(request) == TEXTS


def test_a_proper_answer_is_read_whatever_the_order_of_its_outputs() -> None:
    answer = proper_answer(asked())
    assert read(answer) == Reply([[e.to_json() for e in words(text)] for text in TEXTS], "1")
    outputs, contents = list(answer.outputs)[::-1], list(answer.raw_output_contents)[::-1]
    turned = pb.ModelInferResponse(
        id=ID, model_version="3", outputs=outputs, raw_output_contents=contents
    )
    assert read(turned) == Reply(read(answer).rows, "3")


def set_field(name: str, value: object) -> Callable[[Any], None]:
    return lambda answer: setattr(answer, name, value)


def other_counts(*counts: int) -> Callable[[Any], None]:
    def change(answer: Any) -> None:
        answer.raw_output_contents[1] = struct.pack(f"<{len(counts)}i", *counts)

    return change


def other_content(content: bytes) -> Callable[[Any], None]:
    def change(answer: Any) -> None:
        answer.raw_output_contents[0] = content

    return change


def one_row(content: bytes) -> bytes:
    return struct.pack("<I", len(content)) + content


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            set_field("id", "client-8"),
            "expected the answer to request client-7, got one to 'cl.*8'",
        ),
        (set_field("id", ""), "expected the answer to request client-7, got one to ''"),
        *(
            (
                set_field("model_version", version),
                "expected the version of the model that answers, a number of up to 18 digits, "
                f"got '{version[:40]}'$",
            )
            for version in ("", "-1", "1 ", "v1", "\N{ARABIC-INDIC DIGIT ONE}", "9" * 5_000)
        ),
        (lambda a: a.outputs.pop(), r"expected the outputs ENTITIES and NUM_CHARS, got \['ENT"),
        (lambda a: a.raw_output_contents.pop(), "expected the outputs ENTITIES and NUM_CHARS"),
        (
            lambda a: setattr(a.outputs[1], "name", "GRAPH"),
            r"expected the outputs ENTITIES and NUM_CHARS, got \['ENTITIES', 'GRAPH'\]",
        ),
        (
            other_counts(8, 0, 6),
            "the answers to 3 texts of 8, 0, 5 characters, got those to texts of 8, 0, 6",
        ),
        (other_counts(0, 8, 5), "got those to texts of 0, 8, 5"),
        (other_counts(8, 0), "got those to texts of 8, 0"),
        (other_counts(), "got those to texts of no"),
        (other_content(b""), "expected 3 answers, got 0"),
        (other_content(one_row(b"[]")), "expected 3 answers, got 1"),
        (other_content(one_row(b"[")), "expected ENTITIES in JSON, got Expecting value"),
        (other_content(one_row(b"\xff")), "expected ENTITIES in JSON, got 'utf-8' codec"),
        (other_content(b"\x01\x00"), "expected ENTITIES in JSON, got unpack_from requires"),
        (other_content(b"\x09\x00\x00\x00[]"), "got 6 bytes where 13 were announced"),
        (other_content(one_row(b"[" * 200_000)), "in JSON, got maximum recursion depth"),
    ],
)
def test_an_answer_that_is_not_to_this_request_is_refused(
    change: Callable[[Any], None], message: str
) -> None:
    answer = proper_answer(asked())
    read(answer)
    change(answer)
    with pytest.raises(AnswerError, match=message):
        read(answer)


def test_the_counts_of_many_texts_are_shown_in_part() -> None:
    texts = [str(number) for number in range(40)]
    answer = proper_answer(asked(texts))
    other_counts(*range(40))(answer)
    with pytest.raises(AnswerError, match=r"got those to texts of 0, 1, 2, 3, 4, 5, 6, 7, \.\.\.$"):
        read(answer, texts)


@pytest.mark.parametrize("value", [None, [], "graph", {"file": "x"}])
def test_something_else_than_a_graph_is_refused(value: object) -> None:
    with pytest.raises(AnswerError, match="expected the graph that answers, got"):
        read_graph(value)
