"""Owns the messages of an inference: texts in, rows of JSON out, and whether they belong together.

The request is built as protobuf right here, and texts go as raw bytes: tritonclient's own classes
do the same by way of numpy arrays. An answer is taken only if it names the request, a version of
the model, and for each text as many characters as were sent.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, cast

from tritonclient.grpc import service_pb2 as pb

from serve.errors import AnswerError
from serve.triton.names import MODEL, NUM_CHARS, TEXT, GraphJson

_LENGTH = struct.Struct("<I")


class Reply(NamedTuple):
    """What a model answers.

    Attributes:
        rows: JSON value of each text.
        version: The model's version.
    """

    rows: list[Any]
    version: str


def write_request(texts: Sequence[str], output: str, *, request_id: str, model: str = MODEL) -> Any:  # noqa: ANN401  the protobuf package has no types
    """Return the `ModelInferRequest` that asks for an output, in JSON, of each text."""
    content = bytearray()
    for text in texts:
        encoded = text.encode()
        content += _LENGTH.pack(len(encoded)) + encoded
    return pb.ModelInferRequest(
        model_name=model,
        id=request_id,
        inputs=[_input(name=TEXT, datatype="BYTES", shape=[len(texts), 1])],
        outputs=[_output(name=output), _output(name=NUM_CHARS)],
        raw_input_contents=[bytes(content)],
    )


def read_response(
    response: Any,  # noqa: ANN401
    texts: Sequence[str],
    output: str,
    *,
    request_id: str,
) -> Reply:
    """Return what a `ModelInferResponse` answers.

    Raises:
        AnswerError: If it is not as agreed, or not to this request.
    """
    if response.id != request_id:
        raise AnswerError(
            f"expected the answer to request {request_id}, got one to {response.id!r:.80}"
        )
    contents = {
        tensor.name: content
        for tensor, content in zip(response.outputs, response.raw_output_contents, strict=False)
    }
    if contents.keys() != {output, NUM_CHARS}:
        raise AnswerError(
            f"expected the outputs {output} and {NUM_CHARS}, got {list(contents)!r:.80}"
        )
    num_chars = contents[NUM_CHARS]
    expected = struct.pack(f"<{len(texts)}i", *map(len, texts))
    if num_chars != expected:
        raise AnswerError(
            f"expected the answers to {len(texts)} texts of {_shown(expected)} characters, "
            f"got those to texts of {_shown(num_chars)}"
        )
    values = _values(contents[output], output)
    if len(values) != len(texts):
        raise AnswerError(f"expected {len(texts)} answers, got {len(values)}")
    if not response.model_version:
        raise AnswerError("expected the version of the model that answers, got none")
    return Reply(values, response.model_version)


def read_graph(value: object) -> GraphJson:
    """Return which graph answers, as the model says it.

    Raises:
        AnswerError: If it says something else.
    """
    if not isinstance(value, dict) or not value.keys() >= GraphJson.__required_keys__:
        raise AnswerError(f"expected the graph that answers, got {value!r:.80}")
    return cast(GraphJson, value)


def _values(content: bytes, output: str) -> list[Any]:
    try:
        return [json.loads(row) for row in _split(content)]
    except (ValueError, RecursionError, struct.error) as error:
        raise AnswerError(f"expected {output} in JSON, got {error}") from error


def _split(content: bytes) -> Iterator[bytes]:
    """Yield the elements of a BYTES tensor: each has its length in front."""
    position = 0
    while position < len(content):
        (length,) = _LENGTH.unpack_from(content, position)
        position += _LENGTH.size + length
        if position > len(content):
            raise ValueError(f"{len(content)} bytes where {position} were announced")
        yield content[position - length : position]


def _shown(num_chars: bytes) -> str:
    """Return the first few numbers of a tensor of counts."""
    whole = num_chars[: len(num_chars) // 4 * 4]
    numbers = [str(number) for (number,) in struct.iter_unpack("<i", whole)]
    return ", ".join(numbers[:8]) + (", ..." if len(numbers) > 8 else "") or "no"


_input = pb.ModelInferRequest.InferInputTensor
_output = pb.ModelInferRequest.InferRequestedOutputTensor
