"""Owns the contract between Triton's model and its clients: the names, and nothing to install.

One request carries one or more texts. `TEXT` holds them, `ENTITIES` answers each with a JSON list
of `serve.entities.EntityJson`. `NUM_CHARS` counts each text's characters as the model saw them: a
caller that compares them knows that an answer is to its own text. `GRAPH` tells, for those who ask,
which graph answered, and `TRAFFIC` which versions callers should ask for, see
`serve.versions.traffic`.

The model `encoder` takes token ids and gives logits; its tensors are those of `serve.tensors`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

MODEL, ENCODER = "tagger", "encoder"
TEXT, ENTITIES, NUM_CHARS = "TEXT", "ENTITIES", "NUM_CHARS"
GRAPH, TRAFFIC = "GRAPH", "TRAFFIC"
MAX_BATCH_SIZE = 256
"""Most texts in one execution of the model, whether one request's or many merged."""
NUM_THREADS, LOGITS_OF = "num_threads", "logits_of"
"""Parameters of the tagger: threads of the graph it runs itself, and the model that runs the graph
in its stead; without the latter it runs in the tagger's own process."""
EMBEDDED = "embedded"
"""Name of the configurations for a Triton that has no backend but Python's."""
ENCODER_FILE = "model.onnx"
"""The graph in a version of the encoder."""
PLAN_FILE, PLAN_NOTE = "model.plan", ".graph"
"""A TensorRT plan in a version, and how the note beside one ends that says what it was built from:
the SHA-256 of the graph's file."""
OWN_ID = "linetag:"
"""How ids of requests begin that ask for entities on nobody's behalf: canaries, probes, warm-up.
The model does not count them as callers' work; one of before, which does not know this, answers
them all the same."""
PUBLIC_KEY = "public_key.pem"
"""Beside the versions: where it is there, the model takes only versions signed with it."""


class GraphJson(TypedDict):
    """Which graph answers, as the model read it back from its session."""

    file: str
    precision: str
    provider: str
    version: str


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A version of a model as Triton lists it.

    Attributes:
        model: The model's name.
        version: Its number.
        state: READY, UNAVAILABLE, LOADING or UNLOADING.
        reason: Why it is not ready; empty when it is.
    """

    model: str
    version: str
    state: str
    reason: str
