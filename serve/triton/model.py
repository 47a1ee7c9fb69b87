"""Owns the model Triton runs: requests with texts in, responses with entities as JSON out.

It is the embedded tagger, in the server's Python process: one tokenizer, one session, one decoder;
or, by the parameter `logits_of`, one whose graph another model of the server runs. All texts of a
batch go through it together; a text that cannot be tagged fails its own request and no other.
Triton imports this module inside its Python stub, the only place where
`triton_python_backend_utils` exists; numpy must be 1.x there.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

from serve.encoding import Window, bucket_of
from serve.entities import Entity, write_entities
from serve.errors import DataError, GraphError, NonFiniteError, Refusal, ServerError
from serve.events import log_event
from serve.limits import decode_text
from serve.tagger import Tagger
from serve.triton.called import load_called
from serve.triton.exporting import TritonHandler, TritonMetrics
from serve.triton.metering import Flusher, Meter
from serve.triton.names import (
    ENTITIES,
    GRAPH,
    LOGITS_OF,
    NUM_CHARS,
    NUM_THREADS,
    OWN_ID,
    TEXT,
    TRAFFIC,
    GraphJson,
)
from serve.triton.portions import Watch, abandoned, tag_in_portions
from serve.versions.folders import pinned_key
from serve.versions.settling import traffic_of
from serve.versions.traffic import Traffic

WARM_TOKENS = 64
"""Longest text of the warm-up; work orders are 5 to 15 tokens."""
_ID_CHARS = 80
"""What the log takes of a request's id, which may be as long as its caller likes."""
logger = logging.getLogger(__name__)


class TritonPythonModel:
    """The class Triton's Python backend looks for, by this name."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the version's bundle and warm it up; Triton reports READY after this returns."""
        logging.getLogger("serve").addHandler(TritonHandler())
        logging.getLogger("serve").setLevel(logging.INFO)
        parameters = json.loads(args["model_config"])["parameters"]
        num_threads = parameters.get(NUM_THREADS, {}).get("string_value", "auto")
        model, version = Path(args["model_repository"]), args["model_version"]
        key = pinned_key(model)
        if LOGITS_OF in parameters:
            encoder = parameters[LOGITS_OF]["string_value"]
            called = load_called(model / version, model=encoder, version=version, public_key=key)
            self._tagger = called.tagger
            file, precision, provider = called.graph.file, called.graph.precision, encoder
        else:
            threads = None if num_threads == "auto" else int(num_threads)
            self._tagger = Tagger.load(model / version, num_threads=threads, public_key=key)
            graph = self._tagger.graph
            assert graph is not None  # Tagger.load always sets it
            file, precision, provider = graph.file, graph.precision, str(self._tagger.provider)
            warm_up(self._tagger)
        told = GraphJson(file=file, precision=precision, provider=provider, version=version)
        self._graph = json.dumps(told).encode()
        self._repository = model.parent
        self._traffic = Traffic()
        self._meter = Meter()
        metrics = TritonMetrics(args["model_name"], args["model_version"])
        self._flusher = Flusher(self._meter, metrics.add)
        self._watch = Watch()
        self._tagger.on_windows = self._note_windows
        log_event(logger, logging.INFO, "loaded", **told)

    def finalize(self) -> None:
        """Hand on the last figures; Triton calls this when it unloads the version."""
        self._flusher.close()

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Answer each of the requests that the dynamic batcher merged."""
        started = time.perf_counter()
        texts, owners, answers = self._read(requests)
        try:
            entities = tag_in_portions(
                self._tagger.tag,
                texts,
                owners,
                lambda number: not requests[number].is_cancelled(),
                self._watch,
            )
        except (GraphError, DataError) as error:
            if len(requests) == 1:
                return [self._failed(requests[0], error)]
            # One text may overflow: those that it was merged with have an answer.
            return [
                _refusal(answer) if isinstance(answer, DataError) else self.execute([request])[0]
                for request, answer in zip(requests, answers, strict=True)
            ]
        for number in abandoned(owners, entities):
            message = "expected a caller that waits, got one that has gone"
            gone = DataError(message, reason=Refusal.ABANDONED)
            answers[number] = self._refused(requests[number], gone)
        traffic: list[bytes] = []  # read once, if anybody asks for it
        callers = {number for number, request in enumerate(requests) if is_callers(request)}
        places = [place for place, owner in enumerate(owners) if owner in callers]
        self._meter.count_answers(
            [texts[place] for place in places],
            [entities[place] for place in places],
            num_requests=sum(isinstance(answers[number], slice) for number in callers),
            seconds=time.perf_counter() - started,
        )
        return [
            _refusal(answer)
            if isinstance(answer, DataError)
            else self._response(request, texts[answer], entities[answer], traffic)
            for request, answer in zip(requests, answers, strict=True)
        ]

    def _note_windows(self, windows: Sequence[Window], num_padding: int) -> None:
        """Count windows that have run, and go on only if somebody waits for the others."""
        self._meter.count_windows(windows, num_padding)
        self._watch.look()

    def _failed(self, request: Any, error: GraphError | DataError) -> Any:  # noqa: ANN401
        """Answer a request that the graph, or before it the tokenizer, has no answer to.

        Where it is the request's own text, that is refused, so that no client takes this server
        for sick; were it every text, the supervisor's canary would find out.
        """
        if isinstance(error, DataError):
            return _refusal(self._refused(request, error))
        code, reason = pb_utils.TritonError.INTERNAL, Refusal.GRAPH
        if isinstance(error, NonFiniteError):
            code, reason = pb_utils.TritonError.INVALID_ARG, Refusal.NOT_FINITE
        self._meter.count_refusal(reason)
        fields = {"request_id": request.request_id()[:_ID_CHARS], "error": str(error)}
        log_event(logger, logging.ERROR, "no answer", **fields)
        failed = pb_utils.TritonError(str(error), code)
        return pb_utils.InferenceResponse(output_tensors=[], error=failed)

    def _read(
        self, requests: Sequence[Any]
    ) -> tuple[list[str], list[int], list[slice | DataError]]:
        """Return all texts, the place of each one's request, and each request's part of them."""
        texts: list[str] = []
        owners: list[int] = []
        answers: list[slice | DataError] = []
        for number, request in enumerate(requests):
            start = len(texts)
            try:
                texts.extend(read_texts(request))
                answers.append(slice(start, len(texts)))
                owners += [number] * (len(texts) - start)
            except DataError as error:
                answers.append(self._refused(request, error))
        return texts, owners, answers

    def _refused(self, request: Any, error: DataError) -> DataError:  # noqa: ANN401
        """Count and tell that a request is refused; return why."""
        self._meter.count_refusal(error.reason)
        fields = {
            "request_id": request.request_id()[:_ID_CHARS],
            "reason": error.reason,
            "error": str(error),
        }
        log_event(logger, logging.WARNING, "refused", **fields)
        return error

    def _response(
        self,
        request: Any,  # noqa: ANN401
        texts: Sequence[str],
        entities: Sequence[Sequence[Entity] | None],
        traffic: list[bytes],
    ) -> Any:  # noqa: ANN401
        wanted = request.requested_output_names()
        tensors = []
        if ENTITIES in wanted:
            tensors.append(
                _tensor(ENTITIES, [write_entities(row) for row in entities if row is not None])
            )
        if NUM_CHARS in wanted:
            num_chars = np.array([[len(text)] for text in texts], dtype=np.int32)
            tensors.append(pb_utils.Tensor(NUM_CHARS, num_chars))
        if GRAPH in wanted:
            tensors.append(_tensor(GRAPH, [self._graph] * len(entities)))
        if TRAFFIC in wanted:
            if not traffic:
                traffic.append(self._traffic_json())
            tensors.append(_tensor(TRAFFIC, traffic * len(entities)))
        return pb_utils.InferenceResponse(output_tensors=tensors)

    def _traffic_json(self) -> bytes:
        """Return which versions callers should ask for, as JSON; if in doubt, those of before."""
        try:
            self._traffic = traffic_of(self._repository)
        except (ServerError, OSError) as error:
            log_event(logger, logging.ERROR, "no history", error=str(error))
        return self._traffic.to_json().encode()


def is_callers(request: Any) -> bool:  # noqa: ANN401
    """Return whether somebody wants a request's entities: it is no question about the server."""
    is_own = request.request_id().startswith(OWN_ID)
    return ENTITIES in request.requested_output_names() and not is_own


def read_texts(request: Any) -> list[str]:  # noqa: ANN401  Triton's classes have no types
    """Return the texts of a request.

    Raises:
        DataError: If one is over the cap or not UTF-8; naming its index in the request. If the
            shape is none of texts: Triton lets some pass whose numbers of rows overflow.
    """
    raw = pb_utils.get_input_tensor_by_name(request, TEXT).as_numpy()  # (B, 1), bytes
    if raw.ndim != 2 or raw.shape[1] != 1 or not len(raw):
        raise DataError(f"expected texts of shape (B, 1), got {raw.shape}; check the request")
    return [decode_text(content, index) for index, content in enumerate(raw[:, 0])]


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
    is_over = error.reason is Refusal.ABANDONED
    code = pb_utils.TritonError.CANCELLED if is_over else pb_utils.TritonError.INVALID_ARG
    refused = pb_utils.TritonError(str(error), code)
    return pb_utils.InferenceResponse(output_tensors=[], error=refused)
