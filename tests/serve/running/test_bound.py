"""Tests buffers that stay: each batch gets its own answer, and nothing of the caller's is kept."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from serve.bundle import Provider
from serve.encoding import EncodedBatch
from serve.running.bound import Buffers
from serve.tensors import ATTENTION_MASK, INPUT_IDS, LOGITS
from tests.serve.tiny import TAGS, tiny_graph


@pytest.fixture(scope="module")
def session() -> ort.InferenceSession:
    return ort.InferenceSession(tiny_graph(), providers=[str(Provider.CPU)])


def batch_of(*rows: list[int]) -> EncodedBatch:
    ids = np.array(rows, dtype=np.int64)
    return EncodedBatch(ids, np.ones_like(ids))


def plain(session: ort.InferenceSession, batch: EncodedBatch) -> NDArray[np.float32]:
    feeds = {INPUT_IDS.name: batch.input_ids, ATTENTION_MASK.name: batch.attention_mask}
    logits: NDArray[np.float32] = session.run([LOGITS.name], feeds)[0]
    return logits


def test_each_batch_gets_its_own_answer(session: ort.InferenceSession) -> None:
    buffers = Buffers(session, Provider.CPU, num_tags=len(TAGS))
    batches = [batch_of([1, 2, 3]), batch_of([3, 2, 1]), batch_of([1, 2], [4, 5])]
    batches.append(EncodedBatch(batches[0].input_ids, np.array([[1, 1, 0]])))
    answers = []
    for batch in [*batches, *batches]:
        kept = batch.input_ids.copy()
        bound = buffers.load(batch)
        buffers.run(bound)
        answers.append(buffers.read(bound))
        np.testing.assert_array_equal(batch.input_ids, kept)
    for batch, answer in zip([*batches, *batches], answers, strict=True):
        np.testing.assert_array_equal(answer, plain(session, batch))


def test_a_shape_keeps_its_buffers(session: ort.InferenceSession) -> None:
    buffers = Buffers(session, Provider.CPU, num_tags=len(TAGS))
    first, second = batch_of([1, 2, 3]), batch_of([3, 2, 1])
    assert buffers.load(first) is buffers.load(second)
    assert buffers.load(batch_of([1, 2])) is not buffers.load(first)
