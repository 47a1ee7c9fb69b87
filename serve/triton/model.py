"""Owns the model Triton runs: requests with texts in, responses with entities as JSON out.

It is the embedded tagger, in the server's Python process: one tokenizer, one session, one decoder.
All texts of a batch go through it together; a text that cannot be tagged fails its own request and
no other. Triton imports this module inside its Python stub, the only place where
`triton_python_backend_utils` exists; numpy must be 1.x there.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

from serve.encoding import bucket_of
from serve.entities import Entity
from serve.errors import DataError
from serve.limits import decode_text
from serve.tagger import Tagger
from serve.triton.names import (
    ENTITIES,
    GRAPH,
    NUM_CHARS,
    NUM_THREADS,
    PUBLIC_KEY,
    TEXT,
    GraphJson,
)

WARM_TOKENS = 64
"""Longest text of the warm-up; work orders are 5 to 15 tokens."""


class TritonPythonModel:
    """The class Triton's Python backend looks for, by this name."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the version's bundle and warm it up; Triton reports READY after this returns."""
        parameters = json.loads(args["model_config"])["parameters"]
        num_threads = parameters.get(NUM_THREADS, {}).get("string_value", "auto")
        model = Path(args["model_repository"])
        key = model / PUBLIC_KEY
        self._tagger = Tagger.load(
            model / args["model_version"],
            num_threads=None if num_threads == "auto" else int(num_threads),
            public_key=key if os.path.lexists(key) else None,  # a dangling link is no permission
        )
        self._graph = json.dumps(describe(self._tagger, args["model_version"])).encode()
        warm_up(self._tagger)
        pb_utils.Logger.log_info(f"tagger: {self._graph.decode()}")

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Answer each of the requests that the dynamic batcher merged."""
        texts: list[str] = []
        answers: list[slice | DataError] = []
        for request in requests:
            start = len(texts)
            try:
                texts.extend(read_texts(request))
                answers.append(slice(start, len(texts)))
            except DataError as error:
                answers.append(error)
        entities = self._tagger.tag(texts)
        return [
            _refusal(answer)
            if isinstance(answer, DataError)
            else self._response(request, texts[answer], entities[answer])
            for request, answer in zip(requests, answers, strict=True)
        ]

    def _response(
        self,
        request: Any,  # noqa: ANN401
        texts: list[str],
        entities: list[list[Entity]],
    ) -> Any:  # noqa: ANN401
        wanted = request.requested_output_names()
        tensors = []
        if ENTITIES in wanted:
            tensors.append(_tensor(ENTITIES, [write_entities(row) for row in entities]))
        if NUM_CHARS in wanted:
            num_chars = np.array([[len(text)] for text in texts], dtype=np.int32)
            tensors.append(pb_utils.Tensor(NUM_CHARS, num_chars))
        if GRAPH in wanted:
            tensors.append(_tensor(GRAPH, [self._graph] * len(entities)))
        return pb_utils.InferenceResponse(output_tensors=tensors)


def read_texts(request: Any) -> list[str]:  # noqa: ANN401  Triton's classes have no types
    """Return the texts of a request.

    Raises:
        DataError: If one is over the cap or not UTF-8; naming its index in the request.
    """
    raw = pb_utils.get_input_tensor_by_name(request, TEXT).as_numpy()  # (B, 1), bytes
    return [decode_text(content, index) for index, content in enumerate(raw[:, 0])]


def write_entities(entities: Sequence[Entity]) -> bytes:
    """Return one text's entities as JSON."""
    return json.dumps([entity.to_json() for entity in entities]).encode()


def describe(tagger: Tagger, version: str) -> GraphJson:
    """Return which graph runs, and where."""
    if tagger.graph is None:  # Tagger.load always sets it
        raise TypeError("expected a tagger with a bundle's graph")
    return GraphJson(
        file=tagger.graph.file,
        precision=str(tagger.graph.precision),
        provider=str(tagger.provider),
        version=version,
    )


def warm_up(tagger: Tagger) -> None:
    """Run each padded length of a short text, alone and in a batch.

    ONNX Runtime plans its memory on the first run of a shape; the first caller shall not wait.
    """
    lengths = sorted({bucket_of(num_tokens, WARM_TOKENS) for num_tokens in range(3, WARM_TOKENS)})
    texts = [" ".join(["a"] * (num_tokens - 2)) for num_tokens in lengths]  # a token each, and 2
    for text in texts:
        tagger.tag([text])
    tagger.tag(texts * 2)


def _tensor(name: str, rows: list[bytes]) -> Any:  # noqa: ANN401
    return pb_utils.Tensor(name, np.array(rows, dtype=np.object_)[:, None])


def _refusal(error: DataError) -> Any:  # noqa: ANN401
    invalid = pb_utils.TritonError(str(error), pb_utils.TritonError.INVALID_ARG)
    return pb_utils.InferenceResponse(output_tensors=[], error=invalid)
