"""Owns optimization profiles: for which shapes TensorRT tunes an engine, and the file that says so.

One profile per length bucket, each from just above the one below, so that every length has exactly
one. The buckets double: a profile costs build time and memory, so the runtime's eight to an octave
would be too many. TensorRT picks kernels for the profile's `opt` shape.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from serve.errors import GraphError
from serve.records import read_record
from serve.tensors import INPUTS

PROFILES = "profiles.json"
MAX_BATCH = 32
OPT_BATCH = 8
"""Batch the kernels are chosen for: between a single line and a full batch."""
FIRST_BUCKET = 16
"""Tokens of the shortest bucket: most work orders fit it (MWO2KG: 15 tokens at most)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shapes:
    """Shapes of one input in one profile, as (B, T).

    Attributes:
        min: Smallest shape the engine takes.
        opt: Shape the kernels are chosen for.
        max: Largest shape the engine takes.
    """

    min: tuple[int, ...]
    opt: tuple[int, ...]
    max: tuple[int, ...]

    def __post_init__(self) -> None:
        """Refuse shapes out of order.

        Raises:
            ValueError: If an axis is below 1, or min, opt and max do not rise.
        """
        axes = list(zip(self.min, self.opt, self.max, strict=True))
        if not axes or not all(1 <= low <= best <= high for low, best, high in axes):
            raise ValueError(f"expected 1 <= min <= opt <= max on each axis, got {asdict(self)}")


Profile = dict[str, Shapes]
"""The shapes of each input, by its name."""


def buckets(max_tokens: int) -> list[int]:
    """Return the longest length of each profile: doubling, up to what the model takes."""
    lengths = [min(FIRST_BUCKET, max_tokens)]
    while lengths[-1] < max_tokens:
        lengths.append(min(2 * lengths[-1], max_tokens))
    return lengths


def profiles_for(max_tokens: int) -> list[Profile]:
    """Return one profile per length bucket for a model that takes up to `max_tokens`."""
    return [
        {
            spec.name: Shapes(min=(1, shortest), opt=(OPT_BATCH, longest), max=(MAX_BATCH, longest))
            for spec in INPUTS
        }
        for shortest, longest in _spans(buckets(max_tokens))
    ]


def spanning(profiles: Sequence[Profile]) -> Profile:
    """Return one profile of all shapes from the first's to the last's, tuned for the first's `opt`.

    Most lines fit the shortest bucket.
    """
    first, last = profiles[0], profiles[-1]
    return {
        name: Shapes(min=shapes.min, opt=shapes.opt, max=last[name].max)
        for name, shapes in first.items()
    }


def shapes_text(profile: Profile, kind: Literal["min", "opt", "max"]) -> str:
    """Return shapes as trtexec and ONNX Runtime's TensorRT provider write them."""
    return ",".join(
        f"{name}:{'x'.join(map(str, getattr(shapes, kind)))}" for name, shapes in profile.items()
    )


def to_json(profiles: list[Profile]) -> str:
    """Return the profiles as the text of `profiles.json`."""
    bodies = [{name: asdict(shapes) for name, shapes in profile.items()} for profile in profiles]
    return json.dumps({"profiles": bodies}, indent=2) + "\n"


def from_json(text: str) -> list[Profile]:
    """Parse the text of `profiles.json`.

    Raises:
        GraphError: Saying what was expected.
    """
    try:
        bodies = json.loads(text)["profiles"]
        profiles = [
            {str(name): read_record(Shapes, shapes) for name, shapes in body.items()}
            for body in bodies
        ]
        if not profiles:
            raise ValueError("got none")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise GraphError(
            f"expected a list of profiles, got {type(error).__name__}: {error}"
        ) from error
    return profiles


def _spans(lengths: list[int]) -> Iterator[tuple[int, int]]:
    shortest = 1
    for longest in lengths:
        yield shortest, longest
        shortest = longest + 1
