"""Stands in for Triton's Python stub: a module that exists nowhere else, and what it hands over."""

from __future__ import annotations

import importlib
import json
import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from serve.triton.names import ENTITIES, NUM_CHARS, TEXT


@dataclass(frozen=True)
class Request:
    """A request as the batcher hands it over."""

    texts: Sequence[str | bytes]
    id: str = "caller-1"
    outputs: Sequence[str] = (ENTITIES, NUM_CHARS)
    is_gone: bool = False

    def request_id(self) -> str:
        return self.id

    def requested_output_names(self) -> list[str]:
        return list(self.outputs)

    def is_cancelled(self) -> bool:
        return self.is_gone


class Tensor:
    """A named array."""

    def __init__(self, name: str, array: Any) -> None:
        self._name, self._array = name, array

    def name(self) -> str:
        return self._name

    def as_numpy(self) -> Any:
        return self._array


@dataclass
class Response:
    """What the model answers."""

    output_tensors: list[Tensor]
    error: Any = None


class TritonError:
    """An error of a request."""

    INTERNAL, INVALID_ARG, CANCELLED = "INTERNAL", "INVALID_ARG", "CANCELLED"

    def __init__(self, message: str, code: str) -> None:
        self.message, self.code = message, code


@dataclass
class Stub:
    """The stub, with what was counted and logged in it.

    Attributes:
        model: The module `serve.triton.model`.
        counted: Value of each counter, by its family's name and what tells it from its like.
        records: The log's records.
    """

    model: Any = None
    counted: dict[tuple[str, str], float] = field(default_factory=dict)
    records: list[dict[str, Any]] = field(default_factory=list)

    def loaded(self, repository: Path, version: str = "1") -> Any:
        """Return the model, initialized."""
        model = self.model.TritonPythonModel()
        model.initialize(
            {
                "model_config": json.dumps({"parameters": {}}),
                "model_repository": str(repository / "tagger"),
                "model_version": version,
                "model_name": "tagger",
            }
        )
        return model

    def module(self) -> ModuleType:
        """Return `triton_python_backend_utils`."""
        stub = self

        class Metric:
            def __init__(self, family: str, labels: dict[str, str]) -> None:
                own = {
                    name: value
                    for name, value in labels.items()
                    if name not in ("model", "version")
                }
                self._key = (family, next(iter(own.values()), ""))
                stub.counted.setdefault(self._key, 0.0)

            def increment(self, number: float) -> None:
                stub.counted[self._key] += number

        class MetricFamily:
            COUNTER = "counter"

            def __init__(self, *, name: str, description: str, kind: str) -> None:
                self._name = name.removeprefix("linetag_model_").removesuffix("_total")

            def Metric(self, *, labels: dict[str, str]) -> Metric:  # noqa: N802  Triton's name
                return Metric(self._name, labels)

        class Logger:
            @staticmethod
            def log_info(line: str) -> None:
                stub.records.append(json.loads(line))

            log_warn = log_error = log_info

        def get_input_tensor_by_name(request: Request, name: str) -> Tensor:
            raw = [text.encode() if isinstance(text, str) else text for text in request.texts]
            return Tensor(TEXT, np.array(raw, dtype=np.object_)[:, None])

        module: Any = ModuleType("triton_python_backend_utils")
        module.MetricFamily, module.Logger = MetricFamily, Logger
        module.Tensor, module.TritonError, module.InferenceResponse = Tensor, TritonError, Response
        module.get_input_tensor_by_name = get_input_tensor_by_name
        return module


@contextmanager
def stub() -> Iterator[Stub]:
    """Let modules of the stub be imported; yield it."""
    made, before = Stub(), set(sys.modules)
    root = logging.getLogger("serve")
    handlers, level = list(root.handlers), root.level
    sys.modules["triton_python_backend_utils"] = made.module()
    try:
        made.model = importlib.import_module("serve.triton.model")
        yield made
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        for name in set(sys.modules) - before:
            if name.startswith(("serve.triton.", "triton_python")):
                del sys.modules[name]
