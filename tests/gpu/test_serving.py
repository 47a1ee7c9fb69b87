"""Serving on a CUDA GPU: what is recorded and replayed answers as what runs plainly."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from benchmarks.cuda.ort_engine import OrtEngine
from serve.bundle import Bundle, Precision, Provider
from serve.encoding import EncodedBatch
from serve.errors import GraphError
from serve.running.replay import TOLERANCE
from serve.session import OrtBackend
from serve.tagger import Tagger
from tests.conftest import TINY_MAX_TOKENS, tiny_lines, tiny_vocabulary
from tests.serve.forked import holds_in_a_child

pytestmark = pytest.mark.gpu
LINES = [line.text for line in tiny_lines(seed=3, num_lines=120)]


def texts(seed: int, *lengths: int) -> list[EncodedBatch]:
    """Return single texts of random tokens."""
    draw = np.random.default_rng(seed)
    size = len(tiny_vocabulary())
    rows = [draw.integers(5, size, (1, length), dtype=np.int64) for length in lengths]
    return [EncodedBatch(row, np.ones_like(row)) for row in rows]


def found(tagger: Tagger, lines: list[str]) -> list[list[tuple[str, int, int]]]:
    """Return the entities without their scores, which FP16 rounds."""
    return [[(e.label, e.start, e.end) for e in row] for row in tagger.tag(lines)]


@pytest.mark.parametrize("precision", [Precision.FP32, Precision.FP16])
def test_every_length_is_replayed_and_answers_as_a_plain_run(
    bundle: Bundle, precision: Precision
) -> None:
    graph = bundle.read_graph(bundle.graph(precision))
    replaying = OrtBackend(graph, provider=Provider.CUDA)
    plain = OrtBackend(graph, provider=Provider.CUDA, cuda_graphs=False)
    cpu = OrtBackend(bundle.read_graph(bundle.graph(Precision.FP32)))
    lengths = range(2, TINY_MAX_TOKENS + 1, 3)
    for seed in range(3):  # the first records, the others replay
        for batch in texts(seed, *lengths):
            got = replaying.logits(batch)
            np.testing.assert_allclose(got, plain.logits(batch), atol=TOLERANCE)
            np.testing.assert_allclose(got, cpu.logits(batch), atol=TOLERANCE)
    assert replaying.replayed == set(lengths)
    assert plain.replayed == frozenset()


@pytest.mark.parametrize("precision", [Precision.FP32, Precision.FP16, Precision.PACKED])
def test_no_node_of_a_graph_falls_to_the_cpu(bundle: Bundle, precision: Precision) -> None:
    engine = OrtEngine(bundle.read_graph(bundle.graph(precision)), provider=Provider.CUDA)
    assert set(engine.facts.nodes) == {str(Provider.CUDA)}


def test_many_threads_at_once_get_each_their_own_answer(bundle: Bundle) -> None:
    tagger = Tagger.load(bundle.folder)
    assert tagger.provider is Provider.CUDA
    expected = [tagger.tag([line])[0] for line in LINES]
    assert sum(map(len, expected)) > len(LINES)
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            assert list(pool.map(lambda line: tagger.tag([line])[0], LINES)) == expected


def test_batches_of_any_lengths_give_the_entities_of_the_cpu(bundle: Bundle) -> None:
    cpu = Tagger.load(bundle.folder, provider=Provider.CPU, precision="fp32")
    expected = found(cpu, LINES)
    for precision in (None, Precision.FP32, Precision.FP16, Precision.PACKED):
        tagger = Tagger.load(bundle.folder, precision=precision)
        assert tagger.provider is Provider.CUDA
        assert found(tagger, LINES) == expected
        assert found(tagger, LINES[:1]) == expected[:1]


def test_what_a_bundle_holds_was_gated_where_it_runs(bundle: Bundle) -> None:
    measured = {graph.precision: graph.measured_on for graph in bundle.manifest.graphs}
    assert measured[Precision.FP16] == measured[Precision.PACKED] == str(Provider.CUDA)


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_a_forks_child_is_told_to_load_for_itself(bundle: Bundle) -> None:
    tagger = Tagger.load(bundle.folder)
    tagger.tag(LINES[:1])

    def is_told() -> bool:
        with pytest.raises(GraphError, match="load it in the child"):
            tagger.tag(LINES[:1])
        return True

    assert holds_in_a_child(is_told)


def test_a_text_of_many_windows_is_tagged_between_short_ones(bundle: Bundle) -> None:
    tagger = Tagger.load(bundle.folder)
    expected = found(tagger, LINES[:5])
    too_long = " ".join(["pump"] * 5 * TINY_MAX_TOKENS)
    assert len(tagger.tag([too_long])[0]) > 0
    assert found(tagger, LINES[:5]) == expected
