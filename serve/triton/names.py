"""Owns the contract between Triton's model and its clients: the names, and nothing to install.

One request carries one or more texts. `TEXT` holds them, `ENTITIES` answers each with a JSON list
of `serve.entities.EntityJson`. `NUM_CHARS` counts each text's characters as the model saw them: a
caller that compares them knows that an answer is to its own text. `GRAPH` tells, for those who ask,
which graph answered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

MODEL = "tagger"
TEXT, ENTITIES, NUM_CHARS, GRAPH = "TEXT", "ENTITIES", "NUM_CHARS", "GRAPH"
MAX_BATCH_SIZE = 256
"""Most texts in one execution of the model, whether one request's or many merged."""
NUM_THREADS = "num_threads"
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
