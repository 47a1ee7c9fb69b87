"""Tests that weights elsewhere are found wherever ONNX's own definition lets a tensor stand.

The places are read from the onnx package's descriptors, not from the table under test.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import onnx
import pytest

from serve.artefacts.onnx_file import check_single_file, metadata

KINDS = onnx.ModelProto.DESCRIPTOR.file.message_types_by_name
Edge = tuple[str, str]
"""A message and its field that holds another."""


def fields_of(kind: str) -> dict[str, Any]:
    """Return the descriptors of a message's fields that hold messages, by name."""
    fields = KINDS[kind].fields
    return {field.name: field for field in fields if field.message_type is not None}


def path_between(first: str, last: str) -> tuple[Edge, ...] | None:
    """Return the shortest way from one kind of message to another, or None."""
    paths: dict[str, tuple[Edge, ...]] = {first: ()}
    queue = [first]
    for kind in queue:
        for name, field in fields_of(kind).items():
            inner = field.message_type.name
            if field.message_type.containing_type is None and inner not in paths:
                paths[inner] = (*paths[kind], (kind, name))
                queue.append(inner)
    return paths.get(last)


def ways_to_a_tensor() -> Iterator[tuple[str, tuple[Edge, ...]]]:
    """Yield each field that a tensor can stand below, and a way from a model to one over it."""
    for kind in KINDS:
        before = path_between("ModelProto", kind)
        for name, field in fields_of(kind).items():
            inner = field.message_type
            after = None if inner.containing_type else path_between(inner.name, "TensorProto")
            if before is not None and after is not None:
                yield f"{kind}.{name}", (*before, (kind, name), *after)


WAYS = dict(ways_to_a_tensor())


def model_with(way: tuple[Edge, ...], tensor: onnx.TensorProto) -> bytes:
    """Return a model in which a tensor stands at the end of a way."""
    inner: Any = tensor
    for kind, name in reversed(way):
        outer = getattr(onnx, kind)()
        place = getattr(outer, name)
        if hasattr(place, "append"):
            place.append(inner)
        else:
            place.CopyFrom(inner)
        inner = outer
    content: bytes = inner.SerializeToString()
    return content


def test_the_ways_are_those_of_weights_attributes_subgraphs_functions_and_training() -> None:
    shown = ("GraphProto.sparse_initializer", "AttributeProto.graphs", "NodeProto.attribute")
    more = ("FunctionProto.attribute_proto", "TrainingInfoProto.algorithm", "ModelProto.graph")
    assert WAYS.keys() >= {*shown, *more}


@pytest.mark.parametrize("field", WAYS)
def test_weights_elsewhere_are_found_below_every_field(field: str) -> None:
    way = WAYS[field]
    inside = onnx.TensorProto(name="here", raw_data=b"1234", data_type=1, dims=[1])
    check_single_file(model_with(way, inside))
    named = onnx.TensorProto(name="stolen")
    named.external_data.add(key="location", value="weights.bin")
    flagged = onnx.TensorProto(name="stolen", data_location=onnx.TensorProto.EXTERNAL)
    for elsewhere in (named, flagged):
        with pytest.raises(ValueError, match="got 'stolen' elsewhere"):
            check_single_file(model_with(way, elsewhere))


def test_metadata_are_the_keys_of_the_model_and_of_nothing_in_it() -> None:
    model = onnx.ModelProto()
    model.metadata_props.add(key="first", value="second")
    model.metadata_props.add(key="empty")
    model.graph.metadata_props.add(key="the graph's")
    model.graph.node.add(op_type="Add").metadata_props.add(key="a node's")
    assert metadata(model.SerializeToString()) == {"first", "empty"}
    assert metadata(b"no protobuf") == metadata(b"") == set()
