"""Owns the look into an ONNX file that a runtime without the onnx package can take.

A graph must be one file. Weights that lie elsewhere name a path, or an address in memory, which
whoever loads the graph would read; an `EPContext` node names an engine in a file. Both are found
here from the protobuf's wire format alone, wherever they stand: in weights, attributes, subgraphs,
functions. The numbers are the fields of onnx.proto3.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_WIDTH = {_FIXED64: 8, _FIXED32: 4}
_ENGINE = b"EPContext"


class _Kind(Enum):
    """Messages of onnx.proto3 that tensors can stand in."""

    MODEL = "ModelProto"
    GRAPH = "GraphProto"
    NODE = "NodeProto"
    ATTRIBUTE = "AttributeProto"
    FUNCTION = "FunctionProto"
    TRAINING = "TrainingInfoProto"
    SPARSE = "SparseTensorProto"
    TENSOR = "TensorProto"


_INNER = {
    _Kind.MODEL: {7: _Kind.GRAPH, 20: _Kind.TRAINING, 25: _Kind.FUNCTION},
    _Kind.GRAPH: {1: _Kind.NODE, 5: _Kind.TENSOR, 15: _Kind.SPARSE},
    _Kind.NODE: {5: _Kind.ATTRIBUTE},
    _Kind.ATTRIBUTE: dict.fromkeys((5, 10), _Kind.TENSOR)
    | dict.fromkeys((6, 11), _Kind.GRAPH)
    | dict.fromkeys((22, 23), _Kind.SPARSE),
    _Kind.FUNCTION: {7: _Kind.NODE, 11: _Kind.ATTRIBUTE},
    _Kind.TRAINING: {1: _Kind.GRAPH, 2: _Kind.GRAPH},
    _Kind.SPARSE: {1: _Kind.TENSOR, 2: _Kind.TENSOR},
    _Kind.TENSOR: {},
}
_METADATA, _KEY = 14, 1  # ModelProto.metadata_props, and StringStringEntryProto.key
_OPERATOR = 4  # NodeProto.op_type
_NAME, _ELSEWHERE = 8, (13, 14)  # of TensorProto; external_data, and a data_location other than 0


def check_single_file(content: bytes) -> None:
    """Refuse a graph that has a part of it elsewhere.

    Raises:
        ValueError: If it has, or the bytes are no protobuf.
    """
    try:
        _check(memoryview(content), _Kind.MODEL)
    except RecursionError as error:
        raise ValueError("expected an ONNX graph, got subgraphs nested too deep") from error


def metadata(content: bytes) -> frozenset[str]:
    """Return the keys of a graph's metadata; none of bytes that are no protobuf."""
    try:
        entries = list(_parts(memoryview(content), _METADATA))
        keys = [key.tobytes() for entry in entries for key in _parts(entry, _KEY)]
    except ValueError:  # whoever loads them says so
        return frozenset()
    return frozenset(key.decode(errors="replace") for key in keys)


def _check(message: memoryview, kind: _Kind) -> None:
    for field, value in _fields(message):
        if kind is _Kind.TENSOR and field in _ELSEWHERE and value != 0:
            raise ValueError(f"expected every weight in the file, got {_name(message)!r} elsewhere")
        if not isinstance(value, memoryview):
            continue
        if kind is _Kind.NODE and field == _OPERATOR and value.tobytes() == _ENGINE:
            raise ValueError("expected a whole graph, got an EPContext node, which names a file")
        if inner := _INNER[kind].get(field):
            _check(value, inner)


def _name(tensor: memoryview) -> str:
    for name in _parts(tensor, _NAME):
        return bytes(name[:80]).decode(errors="replace")
    return ""


def _parts(message: memoryview, wanted: int) -> Iterator[memoryview]:
    """Yield the values of one field that have bytes."""
    for field, value in _fields(message):
        if field == wanted and isinstance(value, memoryview):
            yield value


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield the number and value of each field; numbers of fixed width as 0, as none matters."""
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        if key >> 32:  # other parsers take the lower half only, and so another field
            raise ValueError("expected an ONNX graph, got a field of more than 32 bits")
        wire = key & 7
        if wire == _VARINT:
            value, position = _varint(message, position)
            yield key >> 3, value
            continue
        if wire == _BYTES:
            size, position = _varint(message, position)
        elif wire in _WIDTH:
            size = _WIDTH[wire]
        else:
            raise ValueError(f"expected an ONNX graph, got wire type {wire} at byte {position}")
        if size > len(message) - position:
            raise ValueError("expected an ONNX graph, got one that was cut")
        yield key >> 3, message[position : position + size] if wire == _BYTES else 0
        position += size


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    """Return a number and the position behind it."""
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(message):
            raise ValueError("expected an ONNX graph, got one that was cut")
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ValueError("expected an ONNX graph, got a number of more than 64 bits")
