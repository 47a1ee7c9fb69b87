"""Good requests with one part made wrong, by name, and ones whose bytes were changed.

All of `CHANGES` must be refused. `LENIENT` is what Triton 2.51 itself passes over before any model
sees the request.
"""

from __future__ import annotations

import contextlib
import random
import struct
from collections.abc import Callable
from typing import Any

from google.protobuf.message import DecodeError
from tritonclient.grpc import service_pb2 as pb

Change = Callable[[Any, random.Random], None]


def elements(*contents: bytes) -> bytes:
    return b"".join(struct.pack("<I", len(content)) + content for content in contents)


def _set_raw(content: bytes) -> Change:
    def change(request: Any, choose: random.Random) -> None:
        request.raw_input_contents[0] = content

    return change


def _set_shape(*shape: int) -> Change:
    def change(request: Any, choose: random.Random) -> None:
        request.inputs[0].shape[:] = shape

    return change


def _wrong_model(request: Any, choose: random.Random) -> None:
    request.model_name = choose.choice(["", "no", "tagger/1", "../tagger", "x" * 5_000])


def _wrong_version(request: Any, choose: random.Random) -> None:
    request.model_version = choose.choice(["2", "-1", "x", "0", "99999999999999999999", "../1"])


def _wrong_input(request: Any, choose: random.Random) -> None:
    request.inputs[0].name = choose.choice(["", "text", "TEXT ", "x" * 5_000, "ENTITIES"])


def _wrong_type(request: Any, choose: random.Random) -> None:
    request.inputs[0].datatype = choose.choice(["", "INT64", "FP32", "BOOL", "bytes", "UINT8"])


def _wrong_output(request: Any, choose: random.Random) -> None:
    request.outputs[0].name = choose.choice(["", "entities", "TEXT", "y" * 5_000])


def _no_input(request: Any, choose: random.Random) -> None:
    del request.inputs[:]


def _two_inputs(request: Any, choose: random.Random) -> None:
    request.inputs.append(request.inputs[0])
    request.raw_input_contents.append(request.raw_input_contents[0])


def _no_content(request: Any, choose: random.Random) -> None:
    del request.raw_input_contents[:]


def _two_contents(request: Any, choose: random.Random) -> None:
    request.raw_input_contents.append(request.raw_input_contents[0])


def _cut_content(request: Any, choose: random.Random) -> None:
    content = request.raw_input_contents[0]
    request.raw_input_contents[0] = content[: choose.randrange(len(content))]


def _long_content(request: Any, choose: random.Random) -> None:
    request.raw_input_contents[0] += choose.randbytes(choose.randrange(1, 100))


def _rows_beyond_a_counter(request: Any, choose: random.Random) -> None:
    _set_shape(choose.choice([2**32, 2**40, 2**62, -(2**63)]), 1)(request, choose)


CHANGES: dict[str, Change] = {
    "model": _wrong_model,
    "version": _wrong_version,
    "input": _wrong_input,
    "type": _wrong_type,
    "output": _wrong_output,
    "no input": _no_input,
    "two inputs": _two_inputs,
    "no content": _no_content,
    "cut content": _cut_content,
    "long content": _long_content,
    "no elements": _set_raw(b""),
    "length beyond the end": _set_raw(struct.pack("<I", 2**32 - 1) + b"x"),
    "length of 2 GB": _set_raw(struct.pack("<I", 2**31) + b"x" * 100),
    "too many elements": _set_raw(elements(b"a", b"b")),
    "not UTF-8": _set_raw(elements(b"pump \xff\xfe")),
    "a surrogate": _set_raw(elements(b"\xed\xa0\x80")),
    "over the cap": _set_raw(elements(b"x" * 20_001)),
    "no shape": _set_shape(),
    "one axis": _set_shape(1),
    "three axes": _set_shape(1, 1, 1),
    "no rows": _set_shape(0, 1),
    "fewer than announced": _set_shape(2, 1),
    "a row of two": _set_shape(1, 2),
    "negative": _set_shape(-1, 1),
    "over the batch": _set_shape(100_000, 1),
    "overflow": _set_shape(2**62, 4),
    "rows beyond a counter": _rows_beyond_a_counter,
    "overflow to one": _set_shape(-(2**63), 2**63 - 1),
}


def _name_until_nul(request: Any, choose: random.Random) -> None:
    request.model_name += choose.choice(["\0", "\0x", "\0/../other"])


def _number_and_more(request: Any, choose: random.Random) -> None:
    request.model_version = choose.choice(["1.0", "1.5", "1x", " 1", "01"])


def _a_row_beyond_a_counter(request: Any, choose: random.Random) -> None:
    _set_shape(choose.choice([2**32 + 1, 1 - 2**32]), 1)(request, choose)  # in 32 bits: 1


def _doubled_output(request: Any, choose: random.Random) -> None:
    request.outputs.append(choose.choice(request.outputs))


LENIENT: dict[str, Change] = {
    "a name that goes on after NUL": _name_until_nul,
    "a version that begins with a number": _number_and_more,
    "one content too many": _two_contents,
    "rows that are one in 32 bits": _a_row_beyond_a_counter,
    "an output asked for twice": _doubled_output,
}


def spoilt(content: bytes, choose: random.Random) -> bytes:
    """Return bytes with some changed, cut out, doubled or put in."""
    changed = bytearray(content)
    for _ in range(choose.randrange(1, 6)):
        place = choose.randrange(len(changed) or 1)
        kind = choose.randrange(4)
        if kind == 0 and changed:
            changed[place] = choose.randrange(256)
        elif kind == 1:
            del changed[place : place + choose.randrange(1, 20)]
        elif kind == 2:
            changed[place:place] = changed[place : place + choose.randrange(1, 40)]
        else:
            changed[place:place] = choose.randbytes(choose.randrange(1, 20))
    return bytes(changed)


def readable(content: bytes) -> bytes:
    """Return the longest beginning of a request that can be read.

    Triton's protobuf passes over a field of an impossible number, Python's refuses it.
    """
    for length in range(len(content), -1, -1):
        with contextlib.suppress(DecodeError):
            pb.ModelInferRequest.FromString(content[:length])
            break
    return content[:length]


def texts_of(content: bytes) -> list[str] | None:
    """Return the texts a request asks about, or None if it says none that may be answered."""
    try:
        request = pb.ModelInferRequest.FromString(content)
        raw = request.raw_input_contents[0]  # and what Triton passes over, see `LENIENT`
        (tensor,) = request.inputs
        texts, place = [], 0
        while place < len(raw):
            (length,) = struct.unpack_from("<I", raw, place)
            element = raw[place + 4 : place + 4 + length]
            if len(element) < length:
                return None
            texts.append(element.decode())
            place += 4 + length
    except (DecodeError, ValueError, IndexError, struct.error):
        return None
    is_agreed = list(tensor.shape) == [len(texts), 1] and tensor.datatype == "BYTES"
    model, _, _ = request.model_name.partition("\0")  # likewise
    is_ours = (model, tensor.name) == ("tagger", "TEXT")
    return texts if is_agreed and is_ours else None
