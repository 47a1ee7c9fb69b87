"""Owns the model `encoder` for a Triton without C++ backends: token ids to logits, in Python.

It runs the very file that the onnxruntime backend would, after comparing it with the manifest of
the tagger's same version. Triton imports this module inside its Python stub.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

from serve.artefacts.parts import MAX_GRAPH_BYTES, read_plain
from serve.bundle import Bundle
from serve.encoder_graph import encoder_graph, read_encoder_graph
from serve.encoding import EncodedBatch
from serve.errors import BundleError
from serve.running.threads import Threads
from serve.session import OrtBackend
from serve.tensors import ATTENTION_MASK, INPUT_IDS, LOGITS
from serve.triton.names import ENCODER_FILE, MODEL, NUM_THREADS
from serve.versions.folders import pinned_key


class TritonPythonModel:
    """The class Triton's Python backend looks for, by this name."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the version's graph; Triton warms it up before it reports READY."""
        parameters = json.loads(args["model_config"])["parameters"]
        num_threads = parameters[NUM_THREADS]["string_value"]
        model, version = Path(args["model_repository"]), args["model_version"]
        tagger = model.parent / MODEL
        bundle = Bundle.load(tagger / version, public_key=pinned_key(tagger))
        path = model / version / ENCODER_FILE
        content = read_plain(path, max_bytes=MAX_GRAPH_BYTES)
        if content != read_encoder_graph(bundle):
            raise BundleError(
                f"{path}: expected the graph of the tagger's version {version}, got another; "
                "publish the bundle again"
            )
        threads = None if num_threads == "auto" else Threads(int(num_threads))
        graph = encoder_graph(bundle.manifest)
        self._backend = OrtBackend(content, threads=threads, ids=graph.ids)

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Answer the requests that the batcher merged: sequences of one length."""
        batches = [_batch(request) for request in requests]
        merged = EncodedBatch(
            np.concatenate([batch.input_ids for batch in batches]),
            np.concatenate([batch.attention_mask for batch in batches]),
        )
        ends = np.cumsum([len(batch.input_ids) for batch in batches])
        parts = np.split(self._backend.logits(merged), ends[:-1])
        return [
            pb_utils.InferenceResponse(output_tensors=[pb_utils.Tensor(LOGITS.name, part)])
            for part in parts
        ]


def _batch(request: Any) -> EncodedBatch:  # noqa: ANN401  Triton's classes have no types
    ids, mask = (
        pb_utils.get_input_tensor_by_name(request, spec.name).as_numpy()
        for spec in (INPUT_IDS, ATTENTION_MASK)
    )
    return EncodedBatch(ids, mask)
