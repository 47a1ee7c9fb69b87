"""The model that Triton runs for the benchmark: ours, which notes when its steps begin and end.

Triton imports this in its Python process. The spans are written when it unloads the model.
"""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path

from benchmarks.path.spans import SPANS, Span, noting
from serve.encoding import Encoder
from serve.session import OrtBackend
from serve.tagger import Tagger
from serve.triton import model

_STEPS = (
    (model, "read_texts", "read"),
    (model, "write_entities", "write"),
    (Tagger, "tag", "tag"),
    (Encoder, "encode", "tokenise"),
    (Encoder, "collate", "collate"),
    (OrtBackend, "logits", "session"),
    (model.TritonPythonModel, "execute", "execute"),
)


class TritonPythonModel(model.TritonPythonModel):
    """The class Triton's Python backend looks for, by this name."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the version as ours does, then begin to note."""
        super().initialize(args)
        self._spans: list[Span] = []
        self._file = Path(args["model_repository"]) / SPANS
        self._noting = ExitStack()
        for owner, function, name in _STEPS:
            self._noting.enter_context(noting(owner, function, name, self._spans))

    def finalize(self) -> None:
        """Hand on the last figures as ours does, then write what was noted."""
        super().finalize()
        self._noting.close()
        self._file.write_text(json.dumps(self._spans))
