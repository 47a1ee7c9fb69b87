"""Owns the messages of an inference: texts in, rows of JSON out, and whether they belong together.

The request is built as protobuf right here, and texts go as raw bytes: tritonclient's own classes
do the same by way of numpy arrays. An answer is taken only if it names the request, a version of
the model, and for each text as many characters as were sent.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache
from json import JSONDecoder
from typing import Any, NamedTuple, cast

from tritonclient.grpc import service_pb2 as pb

from serve.errors import AnswerError
from serve.records import read_record
from serve.triton.names import MODEL, NUM_CHARS, TEXT, GraphJson
from serve.versions.traffic import Traffic

_LENGTH = struct.Struct("<I")
_MAX_VERSION_DIGITS = 18
"""Triton's versions are of 64 bits; of a number with thousands of digits Python makes an error."""
_decode_json = JSONDecoder().decode  # json.loads looks for other encodings first


class Reply(NamedTuple):
    """What a model answers.

    Attributes:
        rows: JSON value of each text.
        version: The model's version.
    """

    rows: list[Any]
    version: str


def write_request(
    texts: Sequence[str], output: str, *, request_id: str, model: str = MODEL
) -> bytes:
    """Return the serialized `ModelInferRequest` that asks for an output, in JSON, of each text.

    All but the number and the texts is the same for every request, and written once: protobuf reads
    messages that are joined as one.
    """
    parts: list[bytes] = []
    for text in texts:
        encoded = text.encode()
        parts += (_LENGTH.pack(len(encoded)), encoded)
    own = pb.ModelInferRequest(id=request_id, raw_input_contents=[b"".join(parts)])
    return _head(len(texts), output, model) + bytes(own.SerializeToString())


@lru_cache(maxsize=64)
def version_part(version: str) -> bytes:
    """Return what to put behind a request, so that it asks for a version; empty for any of them."""
    return bytes(pb.ModelInferRequest(model_version=version).SerializeToString())


@lru_cache(maxsize=1024)
def _head(num_texts: int, output: str, model: str) -> bytes:
    text = pb.ModelInferRequest.InferInputTensor(name=TEXT, datatype="BYTES", shape=[num_texts, 1])
    wanted = pb.ModelInferRequest.InferRequestedOutputTensor
    head = pb.ModelInferRequest(
        model_name=model, inputs=[text], outputs=[wanted(name=output), wanted(name=NUM_CHARS)]
    )
    return bytes(head.SerializeToString())


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
    names, contents = [tensor.name for tensor in response.outputs], response.raw_output_contents
    if names not in ([output, NUM_CHARS], [NUM_CHARS, output]) or len(contents) != len(names):
        raise AnswerError(f"expected the outputs {output} and {NUM_CHARS}, got {names!r:.80}")
    rows, num_chars = contents if names[0] == output else reversed(contents)
    expected = struct.pack(f"<{len(texts)}i", *map(len, texts))
    if num_chars != expected:
        raise AnswerError(
            f"expected the answers to {len(texts)} texts of {_shown(expected)} characters, "
            f"got those to texts of {_shown(num_chars)}"
        )
    values = _values(rows, output)
    if len(values) != len(texts):
        raise AnswerError(f"expected {len(texts)} answers, got {len(values)}")
    version = response.model_version
    if not (version.isascii() and version.isdecimal() and len(version) <= _MAX_VERSION_DIGITS):
        raise AnswerError(
            "expected the version of the model that answers, a number of up to "
            f"{_MAX_VERSION_DIGITS} digits, got {version[:40]!r}"
        )
    return Reply(values, version)


def read_traffic(value: object) -> Traffic:
    """Return which versions callers should ask for, as the model of any release says it.

    Raises:
        AnswerError: If it says something else.
    """
    try:
        return read_record(Traffic, value, is_open=True)
    except ValueError as error:
        raise AnswerError(str(error)) from error


def read_graph(value: object) -> GraphJson:
    """Return which graph answers, as the model says it.

    Raises:
        AnswerError: If it says something else.
    """
    if not isinstance(value, dict) or not value.keys() >= GraphJson.__required_keys__:
        raise AnswerError(f"expected the graph that answers, got {value!r:.80}")
    return cast(GraphJson, value)


def _values(content: bytes, output: str) -> list[Any]:
    """Return the JSON values in a BYTES tensor, whose elements have their lengths in front."""
    values = []
    position = 0
    try:
        while position < len(content):
            (length,) = _LENGTH.unpack_from(content, position)
            start, position = position + _LENGTH.size, position + _LENGTH.size + length
            if position > len(content):
                raise ValueError(f"{len(content)} bytes where {position} were announced")
            values.append(_decode_json(content[start:position].decode()))
    except (ValueError, RecursionError, struct.error) as error:
        raise AnswerError(f"expected {output} in JSON, got {error}") from error
    return values


def _shown(num_chars: bytes) -> str:
    """Return the first few numbers of a tensor of counts."""
    whole = num_chars[: len(num_chars) // 4 * 4]
    numbers = [str(number) for (number,) in struct.iter_unpack("<i", whole)]
    return ", ".join(numbers[:8]) + (", ..." if len(numbers) > 8 else "") or "no"
