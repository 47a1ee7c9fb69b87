"""Owns the tagger whose graph another model of the same Triton runs.

The other is called by its name and this model's own version: logits of one version are never read
with the labels of another. Triton allows such calls while a request is executed, not while a model
is loaded, so nothing is warmed up here; the other model does that for itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray

from serve.bundle import Bundle
from serve.encoder_graph import EncoderGraph, encoder_graph
from serve.encoding import EncodedBatch
from serve.errors import GraphError
from serve.tagger import Tagger
from serve.tensors import ATTENTION_MASK, INPUT_IDS, LOGITS, IdType
from serve.triton.profiles import MAX_BATCH


class CalledTagger(NamedTuple):
    """A tagger, and the graph that another model runs for it."""

    tagger: Tagger
    graph: EncoderGraph


def load_called(folder: Path, *, model: str, version: str, public_key: Path | None) -> CalledTagger:
    """Load a bundle but for its graphs.

    Args:
        folder: The bundle.
        model: Name of the model that runs its graph.
        version: That model's version.
        public_key: File of the key that must have signed the bundle; None to take unsigned ones.

    Raises:
        BundleError: If the bundle is missing, damaged or not signed with the key asked for.
    """
    bundle = Bundle.load(folder, public_key=public_key)
    graph = encoder_graph(bundle.manifest)
    backend = CalledBackend(model, version, graph.ids)
    tagger = Tagger(bundle.encoder(), bundle.tags, backend, decoding=bundle.decoding)
    return CalledTagger(tagger, graph)


class CalledBackend:
    """A graph in another model of the server."""

    def __init__(self, model: str, version: str, ids: IdType) -> None:
        """Take the model's name and version, and the element type of its inputs."""
        self._model, self._version, self._ids = model, int(version), ids

    def logits(self, batch: EncodedBatch) -> NDArray[np.float32]:
        """Return a score for each token and tag. Shape: (B, T, L), float32.

        Raises:
            GraphError: If the model is not there, or refuses.
        """
        rows = range(0, len(batch.input_ids), MAX_BATCH)
        return np.concatenate([self._call(batch, slice(row, row + MAX_BATCH)) for row in rows])

    def _call(self, batch: EncodedBatch, rows: slice) -> Any:  # noqa: ANN401  Triton's classes have no types
        inputs = [(INPUT_IDS, batch.input_ids), (ATTENTION_MASK, batch.attention_mask)]
        request = pb_utils.InferenceRequest(
            model_name=self._model,
            model_version=self._version,
            requested_output_names=[LOGITS.name],
            inputs=[pb_utils.Tensor(s.name, ids[rows].astype(self._ids)) for s, ids in inputs],
            preferred_memory=pb_utils.PreferredMemory(pb_utils.TRITONSERVER_MEMORY_CPU, 0),
        )
        response = request.exec()
        if response.has_error():
            raise GraphError(
                f"expected logits of the model {self._model}, version {self._version}, got "
                f"{response.error().message()}"
            )
        return pb_utils.get_output_tensor_by_name(response, LOGITS.name).as_numpy()
