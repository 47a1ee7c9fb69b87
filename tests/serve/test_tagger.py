"""Tests the embedded tagger, from text to entities."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from serve.bundle import Precision, Provider
from serve.decode.decoding import Decoding
from serve.encoding import EncodedBatch, Encoder
from serve.errors import BundleError, DataError, GraphError
from serve.labels import Tags
from serve.limits import MAX_CHARS
from serve.running import graphs
from serve.running.unpadded import UnpaddedBackend
from serve.tagger import Tagger
from tests.serve.tiny import (
    MAX_TOKENS,
    TAGS,
    VOCABULARY,
    noisy_lines,
    replace_file,
    tiny_graph,
    tiny_tokenizer,
    write_bundle,
)

ROOT = Path(__file__).resolve().parents[2]
_FORKING = """
import sys
from serve.tagger import Tagger
from tests.serve.forked import holds_in_a_child
from tests.serve.tiny import noisy_lines

tagger, texts = Tagger.load(sys.argv[1]), noisy_lines(40)
expected = tagger.tag(texts)
for _ in range(2):  # each child for itself
    assert holds_in_a_child(lambda: tagger.tag(texts) == expected)
assert tagger.tag(texts) == expected
"""


class ScriptedBackend:
    """Scores tag i highest for token i of its list, whatever the weights of a model would say."""

    def __init__(self, tag_of_token: dict[int, int]) -> None:
        self._tag_of_token = tag_of_token

    def logits(self, batch: EncodedBatch) -> NDArray[np.float32]:
        tags = np.vectorize(lambda token: self._tag_of_token.get(token, 0))(batch.input_ids)
        return np.asarray(4 * np.eye(len(TAGS))[tags], dtype=np.float32)


def test_entities_slice_their_words_out_of_the_text(encoder: Encoder) -> None:
    fix, hose = (encoder.encode([word])[0].windows[0].input_ids[1] for word in ("fix", "hose"))
    backend = ScriptedBackend({fix: TAGS.id_of("B-Activity"), hose: TAGS.id_of("I-Item")})
    tagger = Tagger(encoder, TAGS, backend)
    text = "👩‍🔧 Fix, the e\u0301 HOSE hose"
    (entities,) = tagger.tag([text])
    found = [(entity.label, text[entity.start : entity.end]) for entity in entities]
    assert found == [("Activity", "Fix"), ("Item", "HOSE hose")]
    assert entities[0].score == pytest.approx(np.exp(4) / (np.exp(4) + len(TAGS) - 1))
    assert (tagger.graph, tagger.provider) == (None, None)


def test_an_answer_does_not_depend_on_the_neighbours(embedded: Tagger) -> None:
    texts = noisy_lines(200)
    together = embedded.tag(texts)
    assert together == [embedded.tag([text])[0] for text in texts]
    assert together == embedded.tag(texts[::-1])[::-1]
    assert sum(map(len, together)) > 200


def test_fp32_answers_do_not_depend_on_the_neighbours_either(served_bundle: Path) -> None:
    tagger = Tagger.load(served_bundle, precision="fp32")
    texts = noisy_lines(200, seed=1)
    for ours, alone in zip(tagger.tag(texts), map(tagger.tag, [[t] for t in texts]), strict=True):
        spans = [(entity.label, entity.start, entity.end) for entity in ours]
        assert spans == [(entity.label, entity.start, entity.end) for entity in alone[0]]
        assert [e.score for e in ours] == pytest.approx([e.score for e in alone[0]], abs=1e-5)


def test_several_threads_may_tag_at_once(embedded: Tagger) -> None:
    parts = [noisy_lines(40, seed=seed) for seed in range(8)]
    expected = [embedded.tag(part) for part in parts]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(embedded.tag, parts)) == expected


def test_a_forks_child_tags_with_what_the_parent_loaded_and_used(served_bundle: Path) -> None:
    # In a process of its own: a fork takes along whatever other tests left locked.
    command = [sys.executable, "-c", _FORKING, str(served_bundle)]
    # Set to true, by a test before or by hand, it keeps tokenizers' threads in use after a fork.
    clean = {name: value for name, value in os.environ.items() if name != "TOKENIZERS_PARALLELISM"}
    done = subprocess.run(command, cwd=ROOT, env=clean, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_texts_without_words_have_no_entities(embedded: Tagger) -> None:
    assert embedded.tag([]) == []
    assert embedded.tag(["", "  "]) == [[], []]
    assert embedded.word_tags(["", "fix it"])[0] == []


def test_every_word_has_a_tag(embedded: Tagger) -> None:
    (tags,) = embedded.word_tags(["fix pump#3"])
    assert len(tags) == 4
    assert set(tags) <= set(TAGS.names)


def test_a_long_text_is_tagged_to_its_end(encoder: Encoder) -> None:
    hose = encoder.encode(["hose"])[0].windows[0].input_ids[1]
    tagger = Tagger(encoder, TAGS, ScriptedBackend({hose: TAGS.id_of("B-Item")}))
    text = "a " * 5_000 + "hose"
    (entities,) = tagger.tag([text])
    assert [(entity.start, entity.end) for entity in entities] == [(10_000, 10_004)]


def test_a_bad_text_is_named_and_a_bare_string_is_refused(embedded: Tagger) -> None:
    with pytest.raises(DataError, match=f"text 1: expected at most {MAX_CHARS} characters"):
        embedded.tag(["fine", "x" * (MAX_CHARS + 1)])
    for wrong in ("text", ["fine", None], [b"bytes"]):
        with pytest.raises(TypeError, match="expected a list of strings"):
            embedded.tag(wrong)


def test_the_best_graph_for_the_hardware_runs(tmp_path: Path) -> None:
    every = (Precision.FP32, Precision.FP16, Precision.INT8)
    tagger = Tagger.load(
        write_bundle(tmp_path / "all", precisions=every), provider="CPUExecutionProvider"
    )
    assert tagger.graph is not None
    assert (tagger.graph.precision, tagger.provider) == (Precision.INT8, Provider.CPU)
    half = write_bundle(tmp_path / "half", precisions=(Precision.FP32, Precision.FP16))
    tagger = Tagger.load(half, provider="CPUExecutionProvider")
    assert tagger.graph is not None
    assert tagger.graph.precision is Precision.FP32


class PaddingBackend(ScriptedBackend):
    """Counts the padding it runs."""

    num_padding = 0

    def logits(self, batch: EncodedBatch) -> NDArray[np.float32]:
        self.num_padding += int((batch.attention_mask == 0).sum())
        return super().logits(batch)


@pytest.mark.parametrize("num_texts", [1, 16])
@pytest.mark.parametrize("is_packed", [False, True])
def test_the_padding_told_is_what_was_run(
    encoder: Encoder, is_packed: bool, num_texts: int
) -> None:
    """A packed graph runs none; a single text, and what needs none, do not take that one."""
    padded, packed = PaddingBackend({}), ScriptedBackend({})
    backend = UnpaddedBackend(padded, packed) if is_packed else padded
    tagger = Tagger(encoder, TAGS, backend, mixed=is_packed)
    told: list[int] = []
    tagger.on_windows = lambda windows, num_padding: told.append(num_padding)
    texts = [" ".join(["pump"] * (9 * number + 6)) for number in range(1, num_texts + 1)]
    tagger.tag(texts)
    tagger.tag(texts[:1])
    assert sum(told) == padded.num_padding > 0


@pytest.mark.parametrize("num_tags", [5, 9])
def test_labels_that_do_not_match_the_logits_are_refused(bundle: Path, num_tags: int) -> None:
    replace_file(bundle, "model_fp32.onnx", tiny_graph(num_tags=num_tags))
    message = (
        rf"labels\.json: expected {num_tags} tags, as many as model_fp32\.onnx's logits, got 7"
    )
    with pytest.raises(BundleError, match=message):
        Tagger.load(bundle)


def test_a_graph_that_does_not_load_is_named(bundle: Path) -> None:
    replace_file(bundle, "model_fp32.onnx", b"no graph")
    with pytest.raises(BundleError, match=r"bundle/model_fp32\.onnx: expected an ONNX graph"):
        Tagger.load(bundle)
    replace_file(bundle, "model_fp32.onnx", b"\x08\x08")  # a model of IR version 8, and no more
    with pytest.raises(GraphError, match=r"bundle/model_fp32\.onnx: expected a graph ONNX Runtime"):
        Tagger.load(bundle)


def test_a_tagger_outlives_its_bundle(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "b", precisions=(Precision.FP32, Precision.INT8))
    tagger = Tagger.load(bundle, precision=Precision.INT8)
    texts = ["fix pump", "pump leaking"]
    shutil.rmtree(bundle)
    assert tagger.tag(texts) == [tagger.tag([text])[0] for text in texts]


@pytest.mark.parametrize(
    ("provider", "expected"), [(Provider.CPU, [128] * 7 + [104]), (Provider.CUDA, [1000])]
)
def test_a_gpu_is_given_more_at_once(
    encoder: Encoder, provider: Provider, expected: list[int]
) -> None:
    sizes: list[int] = []

    class Counting:
        def logits(self, batch: EncodedBatch) -> NDArray[np.float32]:
            sizes.append(len(batch.input_ids))
            return np.zeros((*batch.input_ids.shape, len(TAGS)), dtype=np.float32)

    texts = ["fix pump fix pump fix pump"] * 1000  # of 8 tokens
    Tagger(encoder, TAGS, Counting(), provider=provider).tag(texts)
    assert sizes == expected


def test_beside_a_gpu_int8_runs_where_its_gate_saw_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = write_bundle(tmp_path / "b", precisions=(Precision.FP32, Precision.INT8))
    monkeypatch.setattr(graphs, "default_provider", lambda: Provider.CUDA)
    assert Tagger.load(bundle, precision="int8").provider is Provider.CPU
    with pytest.raises(GraphError, match=r"model_int8\.onnx: expected CPUExecution.*; take fp16"):
        Tagger.load(bundle, precision="int8", provider=Provider.CUDA)


@pytest.mark.skipif(
    "CUDAExecutionProvider" in ort.get_available_providers(), reason="this build has CUDA"
)
@pytest.mark.filterwarnings("ignore:Specified provider 'CUDAExecutionProvider'")
def test_a_gpu_asked_for_on_a_cpu_build_is_refused(bundle: Path) -> None:
    with pytest.raises(GraphError, match=r"model_fp32\.onnx: expected .* CUDAExecutionProvider"):
        Tagger.load(bundle, provider="CUDAExecutionProvider")


def test_tags_of_one_label_only_are_enough() -> None:
    assert len(Tags.from_labels(["x"])) == 3


def test_a_bundles_decoding_is_applied_to_tags_entities_and_scores(bundle: Path) -> None:
    texts = noisy_lines(60)
    plain = Tagger.load(bundle)
    decoding = Decoding(temperature=3.0, constrained=True)
    replace_file(bundle, "decoding.json", decoding.to_json().encode())
    constrained = Tagger.load(bundle)
    assert ill_formed(plain.word_tags(texts)) > 0
    assert ill_formed(constrained.word_tags(texts)) == 0
    pairs = [
        (a.score, b.score)
        for ours, theirs in zip(constrained.tag(texts), plain.tag(texts), strict=True)
        for a, b in zip(ours, theirs, strict=False)
        if (a.label, a.start, a.end) == (b.label, b.start, b.end)
    ]
    assert len(pairs) > 20
    assert all(a < b for a, b in pairs)


def ill_formed(lines: list[list[str]]) -> int:
    """Return how many I-tags go on with nothing."""
    pairs = [pair for line in lines for pair in pairwise(["O", *line])]
    return sum(b[:2] == "I-" and a[2:] != b[2:] for a, b in pairs)


class Overflowing:
    """A backend whose logits are not finite at one token."""

    def __init__(self, value: float) -> None:
        self._value = value

    def logits(self, batch: EncodedBatch) -> NDArray[np.float32]:
        logits = np.zeros((*batch.input_ids.shape, len(TAGS)), dtype=np.float32)
        logits[batch.input_ids == VOCABULARY.index("valve"), 1] = self._value
        return logits


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("constrained", [False, True])
@pytest.mark.parametrize("num_words", [1, 100])
def test_logits_that_are_not_finite_are_no_answer(
    value: float, constrained: bool, num_words: int
) -> None:
    """A word would have some tag all the same, and a score that is no JSON."""
    encoder = Encoder(tiny_tokenizer(), max_tokens=MAX_TOKENS, pad_id=0)
    decoding = Decoding(constrained=constrained)
    tagger = Tagger(encoder, TAGS, Overflowing(value), decoding=decoding)
    for ask in (tagger.tag, tagger.word_tags):
        assert len(ask(["pump " * num_words])) == 1
        with pytest.raises(GraphError, match="expected finite logits, got NaN or infinity"):
            ask(["pump " * num_words + "valve"])
