"""Owns a call's way as steps that leave nothing out: each ends where the next begins.

Knows nothing of servers: it joins the spans of a client, the traces of a server and the spans of a
model, all by one clock, of calls made one after the other.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence

from benchmarks.path.spans import Span

STEPS = (
    "client: check, write the request",
    "gRPC: Python, loopback, Triton's reader",
    "Triton: make the request",
    "Triton: batcher, hand-over to the model",
    "Triton: copy the input",
    "Triton to Python process",
    "model: read the text",
    "tokeniser",
    "collate",
    "session",
    "decode",
    "write JSON",
    "model: tensors, response, figures",
    "Python process to Triton",
    "Triton: make the response",
    "gRPC: Triton's writer, loopback, Python",
    "client: read JSON, make entities",
    "client: rest",
)

Way = tuple[int, ...]
"""Nanoseconds of each of `STEPS`."""


def ways(
    client: Iterable[Span], traces: Sequence[Mapping[str, int]], model: Sequence[Span]
) -> list[Way]:
    """Return the way of each call that has a trace and an execution of its own.

    Args:
        client: Spans `call`, `write` and `read`, as they ended; calls one after the other.
        traces: Triton's times of each request, by when it was read.
        model: Spans of the model, by when they began.
    """
    found: list[Way] = []
    read_ns = [trace["GRPC_WAITREAD_END"] for trace in traces]
    begun_ns = [span.start_ns for span in model]
    for spans in _calls(client):
        call = spans["call"]
        inside = traces[bisect_left(read_ns, call.start_ns) : bisect_left(read_ns, call.end_ns)]
        ran = model[bisect_left(begun_ns, call.start_ns) : bisect_left(begun_ns, call.end_ns)]
        by_name = {span.name: span for span in ran}
        if len(inside) == 1 and len(by_name) == len(ran) and "execute" in by_name:
            found.append(_way(spans, inside[0], by_name))
    return found


def _calls(client: Iterable[Span]) -> Iterable[dict[str, Span]]:
    """Yield the spans of each call: those noted since the one before."""
    spans: dict[str, Span] = {}
    for span in client:
        spans[span.name] = span
        if span.name == "call":
            yield spans
            spans = {}


def _way(client: Mapping[str, Span], trace: Mapping[str, int], model: Mapping[str, Span]) -> Way:
    call, write, read = client["call"], client["write"], client["read"]
    execute = model["execute"]
    took = {name: span.end_ns - span.start_ns for name, span in model.items()}
    # A text without words is not collated and runs no session.
    inner = [took.get(name, 0) for name in ("tokenise", "collate", "session")]
    rest = took["execute"] - took["read"] - took["tag"] - took["write"]
    return (
        write.end_ns - call.start_ns,
        trace["GRPC_WAITREAD_END"] - write.end_ns,
        trace["QUEUE_START"] - trace["GRPC_WAITREAD_END"],
        trace["COMPUTE_START"] - trace["QUEUE_START"],
        trace["COMPUTE_INPUT_END"] - trace["COMPUTE_START"],
        execute.start_ns - trace["COMPUTE_INPUT_END"],
        took["read"],
        *inner,
        took["tag"] - sum(inner),
        took["write"],
        rest,
        trace["COMPUTE_OUTPUT_START"] - execute.end_ns,
        trace["GRPC_SEND_START"] - trace["COMPUTE_OUTPUT_START"],
        read.start_ns - trace["GRPC_SEND_START"],
        read.end_ns - read.start_ns,
        call.end_ns - read.end_ns,
    )
