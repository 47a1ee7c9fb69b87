"""What a user of transformers gets from us instead: the same entities, on real lines.

One model is fine-tuned here for a few seconds on two public corpora at once, work orders and
encyclopedia sentences. It is no good model, but it finds entities on nearly every line. Then our
answers are held against transformers' token-classification pipeline with
`aggregation_strategy="first"` on the same checkpoint, and the ways to run it against each other.

The two policies differ in two things, and in nothing else:
* *Words.* Ours are the tokenizer's own pre-tokens. The pipeline guesses them: a token continues a
  word when its text is not as long as the characters it stands for. So are `##` pieces, but
  also for a word with characters inside it that normalization removes (combining accents,
  zero-width characters), which the pipeline then joins to the word before it. Marks that end a word
  are part of ours, not of the pipeline's.
* *Length.* We read a text of any length through windows; the pipeline cuts it off at the model's
  limit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from benchmarks.triton import start_triton
from export.__main__ import main as export_main
from export.checkpoint import Checkpoint, load_checkpoint
from export.parity import Reference
from export.reports import latency
from serve.bundle import Bundle, Precision, Provider
from serve.client import Policy, TritonTagger
from serve.entities import Entity
from serve.examples import Example, write_jsonl
from serve.repository import publish
from serve.running.graphs import load_backend
from serve.running.threads import Threads
from serve.tagger import Tagger
from train.__main__ import main as train_main
from train.corpus.data import read_split
from train.formats.flat import Reading

pytestmark = pytest.mark.slow

STRAY = (("Observed_state", "Observation"), ("Event", ""))
NUM_LINES = 310
SCORE_ATOL = 1e-4
CALLERS = 8

Found = list[tuple[str, int, int]]


@pytest.fixture(scope="module")
def texts(shared_data: Path) -> dict[str, list[str]]:
    """Return lines no model here was trained on, by corpus."""
    work_orders = read_split(shared_data / "mwo2kg" / "test.txt").examples
    sentences = read_split(shared_data / "wikigold" / "wikigold.conll.txt").examples
    return {
        "mwo2kg": [example.text for example in work_orders[:NUM_LINES]],
        "wikigold": [example.text for example in sentences[:NUM_LINES]],
    }


@pytest.fixture(scope="module")
def real_checkpoint(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a checkpoint of the packaged base model, trained through `python -m train`."""
    folder = tmp_path_factory.mktemp("real")
    orders = _mapped(shared_data / "mwo2kg" / "train.txt")
    sentences = _mapped(shared_data / "wikigold" / "wikigold.conll.txt")[NUM_LINES:]
    write_jsonl(folder / "train.jsonl", [*orders[:256], *sentences[:96]])
    write_jsonl(folder / "dev.jsonl", [*orders[-60:], *sentences[-20:]])
    arguments = {
        "--train": folder / "train.jsonl",
        "--dev": folder / "dev.jsonl",
        "--output": folder / "checkpoint",
        "--epochs": 4,
        "--batch-size": 16,
        "--learning-rate": 5e-4,
    }
    assert train_main([str(part) for pair in arguments.items() for part in pair]) == 0
    return folder / "checkpoint"


@pytest.fixture(scope="module")
def real_bundle(real_checkpoint: Path) -> Path:
    """Return a bundle with every graph of the checkpoint."""
    output = real_checkpoint.parent / "bundle"
    # F1 of a half-trained model moves by chance; here answers are compared, not F1.
    allowed = ["--allow-f1-loss", "100", "--allow-label-f1-loss", "100"]
    arguments = ["--fp16", "--int8", *allowed]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(latency, "BUDGET_S", 0.0)  # how long its graphs take is of no interest here
        command = ["--model", str(real_checkpoint), "--output", str(output), *arguments]
        assert export_main(command) == 0
    return output


@pytest.fixture(scope="module")
def checkpoint(real_checkpoint: Path) -> Checkpoint:
    return load_checkpoint(real_checkpoint)


@pytest.fixture(scope="module")
def pipeline(real_checkpoint: Path, checkpoint: Checkpoint) -> Any:
    pipeline = transformers.pipeline(
        "token-classification", model=str(real_checkpoint), aggregation_strategy="first"
    )
    head = pipeline.model.classifier  # the pipeline knows no temperature: give it its head's share
    with torch.no_grad():
        head.weight /= checkpoint.decoding.temperature
        head.bias /= checkpoint.decoding.temperature
    return pipeline


def _mapped(path: Path) -> list[Example]:
    return list(read_split(path, Reading(label_map=STRAY)).examples)


def pipeline_entities(pipeline: Any, text: str) -> list[Entity]:
    """Return the pipeline's answer as entities."""
    return [
        Entity(e["entity_group"], e["start"], e["end"], float(e["score"])) for e in pipeline(text)
    ]


def pipeline_words(pipeline: Any, text: str) -> list[tuple[int, int]]:
    """Return the character offsets of what the pipeline takes for words."""
    (inputs,) = pipeline.preprocess(text, is_split_into_words=False, delimiter=None)
    ids = inputs["input_ids"][0]
    pieces = pipeline.gather_pre_entities(
        text,
        ids,
        np.zeros((len(ids), 1)),
        inputs["offset_mapping"][0],
        inputs["special_tokens_mask"][0].numpy(),
        "first",
    )
    words: list[tuple[int, int]] = []
    for piece in pieces:
        if piece["is_subword"] and words:
            words[-1] = (words[-1][0], piece["end"])
        else:
            words.append((piece["start"], piece["end"]))
    return words


def policy_difference(pipeline: Any, checkpoint: Checkpoint, text: str) -> str | None:
    """Return which stated policy differs on a text, or None where the two agree."""
    encoded = checkpoint.encoder.encode([text])[0]
    if len(encoded.windows) > 1:
        return "length"
    return None if pipeline_words(pipeline, text) == encoded.offsets else "words"


def found(entities: Sequence[Entity]) -> Found:
    """Return labels and spans."""
    return [(entity.label, entity.start, entity.end) for entity in entities]


@pytest.mark.parametrize("corpus", ["mwo2kg", "wikigold"])
def test_entities_equal_the_pipelines_on_every_line_where_the_policies_agree(
    texts: dict[str, list[str]],
    real_bundle: Path,
    pipeline: Any,
    checkpoint: Checkpoint,
    corpus: str,
) -> None:
    tagger = Tagger.load(real_bundle, precision=Precision.FP32)
    lines = [t for t in texts[corpus] if policy_difference(pipeline, checkpoint, t) is None]
    assert len(lines) >= 300
    expected = [pipeline_entities(pipeline, line) for line in lines]
    got = tagger.tag(lines)
    assert sum(map(len, expected)) >= 300, "the model predicts too little to compare"
    assert len({entity.label for line in expected for entity in line}) >= 4
    differing = [
        (line, found(ours), found(theirs))
        for line, ours, theirs in zip(lines, got, expected, strict=True)
        if found(ours) != found(theirs)
    ]
    assert differing == []
    scores = [[e.score for line in answers for e in line] for answers in (got, expected)]
    assert np.abs(np.subtract(*scores)).max() <= SCORE_ATOL


ODD_LINES = {
    # what the line has: (the line, the policy that differs on it)
    "composed accents": ("replace café pump by François", None),
    "blanks of all kinds": ("replace\u00a0oil\tpump\u2003on  truck\n", None),
    "emoji": ("pump 🔧 leaking 👩‍🔧 again", None),
    "no blanks": ("pump#3,leaking(badly)/replaced", None),
    "Chinese": ("replace 水泵 in London", None),
    "an unknown character": ("pump \ue000 broken", None),
    "a special token": ("replace [MASK] pump", None),
    "nothing": ("", None),
    "blanks only": ("   ", None),
    "combining accents": ("replace cafe\u0301 pump by Franc\u0327ois", "words"),
    "a zero-width blank": ("replace oil\u200b pump in Lon\u200bdon", "words"),
    "a soft hyphen": ("replace hy\u00addraulic pump", "words"),
    "more tokens than the model takes": ("replace oil pump in London . " * 120, "length"),
}


@pytest.mark.parametrize("kind", ODD_LINES)
def test_on_odd_lines_only_a_stated_policy_makes_a_difference(
    real_bundle: Path, pipeline: Any, checkpoint: Checkpoint, kind: str
) -> None:
    line, expected = ODD_LINES[kind]
    difference = policy_difference(pipeline, checkpoint, line)
    assert difference == expected
    if difference is None:
        (entities,) = Tagger.load(real_bundle, precision=Precision.FP32).tag([line])
        assert found(entities) == found(pipeline_entities(pipeline, line))


def test_a_word_that_normalization_shortens_is_a_word_of_its_own(
    pipeline: Any, checkpoint: Checkpoint
) -> None:
    text = "oil Franc\u0327ois pump"
    assert checkpoint.encoder.encode([text])[0].offsets == [(0, 3), (4, 13), (14, 18)]
    assert pipeline_words(pipeline, text) == [(0, 13), (14, 18)]


def test_the_end_of_a_long_text_is_read_where_the_pipeline_cuts_it_off(
    real_bundle: Path, pipeline: Any
) -> None:
    text = "replace oil pump in London . " * 120
    (entities,) = Tagger.load(real_bundle, precision=Precision.FP32).tag([text])
    assert max(entity.end for entity in pipeline_entities(pipeline, text)) < 0.75 * len(text)
    assert max(entity.end for entity in entities) > len(text) - 30
    # Its beginning is read as the pipeline reads it: the first window is what the pipeline sees.
    half = len(text) // 3
    ours, theirs = (
        [e for e in found(answer) if e[2] < half]
        for answer in (entities, pipeline_entities(pipeline, text))
    )
    assert ours == theirs


@pytest.fixture(scope="module")
def reference(shared_data: Path, checkpoint: Checkpoint) -> Reference:
    """Return PyTorch's answers on work orders that nothing here was trained on."""
    examples = _mapped(shared_data / "mwo2kg" / "test.txt")
    assert len(examples) >= 300
    return Reference(checkpoint, examples)


@pytest.mark.parametrize(
    ("precision", "logits_atol", "tag_agreement"),
    [(Precision.FP32, 1e-4, 1.0), (Precision.FP16, 2e-2, 0.998), (Precision.INT8, 1.2, 0.975)],
)
def test_every_graph_answers_as_pytorch_does(
    real_bundle: Path,
    reference: Reference,
    precision: Precision,
    logits_atol: float,
    tag_agreement: float,
) -> None:
    bundle = Bundle.load(real_bundle)
    graph = bundle.graph(precision)
    content = bundle.read_graph(graph)
    backend = load_backend(bundle, graph, content, Provider.CPU, Threads(1))
    tagger = Tagger.load(real_bundle, precision=precision, provider=Provider.CPU)
    report = reference.compare(tagger, backend)
    assert report.max_abs_diff <= logits_atol
    assert report.tag_agreement >= tag_agreement


@pytest.fixture(scope="module")
def triton(real_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonTagger]:
    repository = tmp_path_factory.mktemp("repository")
    publish(real_bundle, repository)
    with (
        start_triton(repository) as server,
        TritonTagger(server.url, policy=Policy(deadline_s=60.0)) as tagger,
    ):
        yield tagger


@pytest.mark.triton
def test_triton_answers_as_the_embedded_tagger_does_with_many_callers_at_once(
    texts: dict[str, list[str]], real_bundle: Path, triton: TritonTagger
) -> None:
    embedded = Tagger.load(real_bundle)
    assert embedded.graph is not None
    assert triton.graph()["precision"] == embedded.graph.precision
    lines = [*texts["mwo2kg"], *texts["wikigold"], *(line for line, _ in ODD_LINES.values())]
    expected = embedded.tag(lines)
    with ThreadPoolExecutor(CALLERS) as pool:
        one_by_one = list(pool.map(lambda line: triton.tag([line])[0], lines))
        assert one_by_one == expected
    assert triton.tag(lines) == expected


def test_an_answer_does_not_depend_on_its_neighbours_on_real_lines(
    texts: dict[str, list[str]], real_bundle: Path
) -> None:
    lines = texts["wikigold"][:40]
    for precision in (Precision.FP32, Precision.INT8):
        tagger = Tagger.load(real_bundle, precision=precision)
        assert tagger.tag(lines) == [tagger.tag([line])[0] for line in lines]
