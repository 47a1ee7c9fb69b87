"""Families of BERT beside BERT itself: from a base through train and export to answers.

RoBERTa and XLM-RoBERTa differ in two things that matter here: their positions are counted from the
input ids, and their words are what stands between blanks. Both are held against transformers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper
from tokenizers import AddedToken, Tokenizer, pre_tokenizers, processors

import export.pipeline
from export.__main__ import main as export_main
from export.checkpoint import Checkpoint, TorchBackend, load_checkpoint
from export.fusion.fuse import fuse
from export.fusion.packed import packed
from serve.artefacts.families import FAMILIES
from serve.bundle import Bundle, Precision
from serve.encoding import EncodedBatch, Encoder
from serve.labels import Tags
from serve.session import OrtBackend
from serve.tagger import Tagger
from serve.words import NO_WORD
from tests.conftest import TINY_LABELS, tiny_lines
from tests.exported import exported
from tests.families import (
    MAX_POSITIONS,
    byte_level_tokenizer,
    unigram_tokenizer,
    write_base,
)
from tests.packed import NumpyBackend
from tests.test_pipeline_parity import SCORE_ATOL, found, pipeline_entities, pipeline_words
from train.__main__ import main as train_main
from train.corpus.data import read_split
from train.model.base import find_base
from train.model.method import freeze

ROBERTAS = ("roberta", "xlm-roberta")
LINES = [line.text for line in tiny_lines(seed=1, num_lines=200)]


def unparted(tokenizer: Tokenizer, whole: pre_tokenizers.PreTokenizer) -> Tokenizer:
    """Return a tokenizer that gives a text to its model in one piece."""
    tokenizer.pre_tokenizer = whole
    return tokenizer


TOKENIZERS = {
    "roberta": byte_level_tokenizer(LINES),
    "untrimmed": byte_level_tokenizer(LINES, trim_offsets=False),
    "prefix": byte_level_tokenizer(LINES, add_prefix_space=True),
    "xlm-roberta": unigram_tokenizer(LINES),
    "whole bytes": unparted(
        byte_level_tokenizer(LINES),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ),
    "whole unigram": unparted(unigram_tokenizer(LINES), pre_tokenizers.Metaspace(split=False)),
}


@pytest.fixture(scope="module", params=ROBERTAS)
def trained(
    request: pytest.FixtureRequest, tiny_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return a checkpoint that `python -m train` made of a base of the family."""
    folder = tmp_path_factory.mktemp(request.param)
    base = write_base(folder / "base", request.param, LINES)
    arguments = ["--data", tiny_data, "--model", base, "--output", folder / "checkpoint"]
    settings = ["--epochs", "20", "--batch-size", "16", "--learning-rate", "3e-3"]
    assert train_main([*map(str, arguments), *settings]) == 0
    return folder / "checkpoint"


@pytest.fixture(scope="module")
def checkpoint(trained: Path) -> Checkpoint:
    return load_checkpoint(trained)


@pytest.fixture(scope="module")
def bundle(trained: Path) -> Bundle:
    output = trained.parent / "bundle"
    arguments = ["--model", str(trained), "--output", str(output), "--fp16", "--int8"]
    assert export_main([*arguments, "--allow-f1-loss", "20"]) == 0  # of few lines
    return Bundle.load(output)


@pytest.fixture
def fused(checkpoint: Checkpoint) -> onnx.ModelProto:
    return fuse(exported(checkpoint), checkpoint.shape)


def test_a_checkpoint_of_the_family_is_trained_and_finds_entities(bundle: Bundle) -> None:
    for graph in bundle.manifest.graphs:
        assert graph.f1_before > 0.5
        assert graph.f1_after > 0.5


def test_two_positions_are_kept_from_tokens_and_padding_is_the_familys_own(
    bundle: Bundle, checkpoint: Checkpoint
) -> None:
    assert bundle.manifest.max_tokens == checkpoint.encoder.max_tokens == MAX_POSITIONS - 2
    assert bundle.manifest.pad_id == checkpoint.encoder.pad_id == 1


def test_all_of_it_is_fused_embeddings_too(fused: onnx.ModelProto) -> None:
    types = [node.op_type for node in fused.graph.node]
    assert types.count("EmbedLayerNormalization") == 1
    assert types.count("Attention") == 2
    assert types.count("SkipLayerNormalization") == 4
    assert types.count("BiasGelu") == 2
    assert not {"GatherElements", "LayerNormalization", "Expand"} & set(types)


def batches(pad_id: int, vocab_size: int) -> Iterator[EncodedBatch]:
    """Yield ids as no tokenizer would give them: full, padded, and with padding's id inside."""
    ids = np.random.default_rng(0).integers(4, vocab_size, size=(4, MAX_POSITIONS - 2))
    mask = np.ones_like(ids)
    yield EncodedBatch(ids, mask)
    padded = ids.copy()
    for row, num_tokens in enumerate((64, 40, 9, 2)):
        padded[row, num_tokens:], mask[row, num_tokens:] = pad_id, 0
    yield EncodedBatch(padded, mask)
    inside = ids[:, :20].copy()
    inside[:, [3, 4, 11]] = pad_id  # what a text with the token <pad> in it comes to
    yield EncodedBatch(inside, np.ones_like(inside))


def largest_difference(model: onnx.ModelProto, checkpoint: Checkpoint) -> float:
    """Return the largest difference of a logit from PyTorch's over `batches`."""
    graph = OrtBackend(model.SerializeToString())
    torch_backend = TorchBackend(checkpoint.model)
    return max(
        float(np.abs(graph.logits(b) - torch_backend.logits(b))[b.attention_mask == 1].max())
        for b in batches(checkpoint.encoder.pad_id, checkpoint.model.config.vocab_size)
    )


def test_positions_are_pytorchs_whatever_ids_come_in(
    fused: onnx.ModelProto, checkpoint: Checkpoint
) -> None:
    assert largest_difference(fused, checkpoint) < 1e-4


def test_it_is_packed_whole_too(fused: onnx.ModelProto, checkpoint: Checkpoint) -> None:
    """In numpy, see `tests.packed`: no other provider than CUDA has the operators."""
    graph = NumpyBackend(packed(fused, checkpoint.shape))
    torch_backend = TorchBackend(checkpoint.model)
    for batch in batches(checkpoint.encoder.pad_id, checkpoint.model.config.vocab_size):
        kept = batch.attention_mask == 1
        expected = torch_backend.logits(batch)[kept]
        np.testing.assert_allclose(graph.logits(batch)[kept], expected, atol=1e-4)


def _shift_positions(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a graph whose positions are off by one."""
    (table,) = [t for t in model.graph.initializer if "position_embeddings" in t.name]
    shifted = np.roll(numpy_helper.to_array(table), 1, axis=0)
    table.CopyFrom(numpy_helper.from_array(shifted, table.name))
    return model


def test_positions_off_by_one_are_refused(
    trained: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(export.pipeline, "fuse", lambda *args: _shift_positions(fuse(*args)))
    output = tmp_path / "bundle"
    assert export_main(["--model", str(trained), "--output", str(output)]) == 1
    assert capsys.readouterr().err.startswith("error: fp32 graph: expected ")
    assert not output.exists()


@pytest.mark.parametrize("precision", [p for p in Precision if not p.needs_cuda])
def test_texts_of_any_length_are_tagged_alone_as_together(
    bundle: Bundle, precision: Precision
) -> None:
    tagger = Tagger.load(bundle.folder, precision=precision)
    texts = ["replace oil pump", "engine leaking", "pump <pad> <mask> " * 40, "", " x ", "水泵 🔧"]
    got = tagger.tag(texts)
    alone = [tagger.tag([text])[0] for text in texts]
    assert [found(line) for line in got] == [found(line) for line in alone]
    assert got[0] != []


def words_of(tokenizer: Tokenizer, text: str) -> list[str]:
    """Return the words of a text; those of a copy of it in a batch are the same."""
    first, second = Encoder(tokenizer, max_tokens=64, pad_id=1).encode([text, text])
    assert first.offsets == second.offsets
    return [text[start:end] for start, end in first.offsets]


@pytest.mark.parametrize("name", TOKENIZERS)
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("replace  o-ring, pump#3\tok\n", ["replace", "o-ring,", "pump#3", "ok"]),
        (" , a ,b", [",", "a", ",b"]),
        ("x <mask> y<mask>z", ["x", "<mask>", "y<mask>z"]),
        ("café 🔧\u00a0水泵", ["café", "🔧", "水泵"]),
        ("hy\u00addraulic oil", ["hy\u00addraulic", "oil"]),
        ("", []),
        (" \t ", []),
    ],
)
def test_a_word_is_all_between_two_blanks(name: str, text: str, words: list[str]) -> None:
    assert words_of(TOKENIZERS[name], text) == words


@pytest.mark.parametrize("name", TOKENIZERS)
@settings(deadline=None, max_examples=60)
@given(st.text(st.sampled_from("abzÉß,.-#'0½水🔧 \t\n\u00a0\u3000"), max_size=40))
def test_words_are_those_of_split(name: str, text: str) -> None:
    assert words_of(TOKENIZERS[name], text) == text.split()


@pytest.mark.parametrize("name", TOKENIZERS)
def test_a_word_is_read_at_its_first_token_and_keeps_its_number(name: str) -> None:
    encoder = Encoder(TOKENIZERS[name], max_tokens=64, pad_id=1)
    (window,) = encoder.encode(["pump#3,  leaking"])[0].windows
    first, second = window.first_tokens
    assert first == 1
    assert window.word_ids[:second].count(0) >= 4  # pump # 3 , at the least
    assert set(window.word_ids[second:-1]) == {1}
    assert (window.word_ids[0], window.word_ids[-1]) == (NO_WORD, NO_WORD)


ADDED = ["kW", "<unit>", AddedToken("o-ring", rstrip=True)]


@pytest.mark.parametrize("name", TOKENIZERS)
@pytest.mark.parametrize(
    "text", ["5 kW, pump", "(kW) 5kWe", "<unit>x ok", "o-rings o-ring pump", "a<mask>x"]
)
def test_text_after_an_added_token_keeps_its_letters(name: str, text: str) -> None:
    tokenizer = Tokenizer.from_str(TOKENIZERS[name].to_str())
    tokenizer.add_tokens(ADDED)
    assert words_of(tokenizer, text) == text.split()


@pytest.mark.parametrize(
    "post_processor",
    [
        None,
        processors.Sequence(
            [
                processors.ByteLevel(trim_offsets=True),
                processors.TemplateProcessing(
                    single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
                ),
            ]
        ),
    ],
)
def test_a_blank_put_before_each_piece_takes_no_letter(
    post_processor: processors.PostProcessor | None,
) -> None:
    tokenizer = byte_level_tokenizer(LINES, add_prefix_space=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel()]
    )
    if post_processor is not None:
        tokenizer.post_processor = post_processor
    assert words_of(tokenizer, "0e 12bar 3x") == ["0e", "12bar", "3x"]


def test_a_tokenizer_that_trims_is_kept_as_it_is_for_others() -> None:
    tokenizer = byte_level_tokenizer(LINES, add_prefix_space=True)
    saved = tokenizer.to_str()
    assert words_of(tokenizer, "pump 5") == ["pump", "5"]
    assert tokenizer.to_str() == saved


def test_merges_left_out_at_random_in_training_are_all_made_in_serving() -> None:
    tokenizer = byte_level_tokenizer(LINES)
    expected = tokenizer.encode("replace hydraulic hose").ids
    tokenizer.model.dropout = 0.9
    saved = Tokenizer.from_str(tokenizer.to_str())
    encoded = Encoder(saved, max_tokens=64, pad_id=1).encode(["replace hydraulic hose"] * 4)
    assert [text.windows[0].input_ids for text in encoded] == [expected] * 4


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_can_be_trained_from_a_base(family: str, tmp_path: Path) -> None:
    base = find_base(str(write_base(tmp_path / "base", family, LINES)))
    tags = Tags.from_labels(TINY_LABELS)
    model = base.load_model(tags)
    assert model.config.model_type == family
    assert model.get_submodule("classifier").get_parameter("bias").shape == (len(tags),)
    assert base.encoder().max_tokens == MAX_POSITIONS - (2 if family in ROBERTAS else 0)
    freeze(model, 1)
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert not any("embeddings." in name or "layer.0." in name for name in trained)
    assert any("layer.1." in name for name in trained)


@pytest.fixture(scope="module", params=ROBERTAS)
def random_checkpoint(
    request: pytest.FixtureRequest, shared_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[str]]:
    """Return an untrained checkpoint that tags at random, and real lines its tokenizer knows."""
    train, test = (
        [example.text for example in read_split(shared_data / "mwo2kg" / name).examples]
        for name in ("train.txt", "test.txt")
    )
    folder = tmp_path_factory.mktemp("random")
    base = find_base(str(write_base(folder, request.param, [*train, *test])))
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        model = base.load_model(Tags.from_labels(TINY_LABELS))
        for parameter in filter(lambda p: p.ndim > 1, model.parameters()):
            torch.nn.init.normal_(parameter, std=0.3)
        model.get_submodule("classifier").get_parameter("bias")[0] = -2  # fewer O
    model.save_pretrained(folder)
    return folder, test


def pipeline_of(folder: Path) -> Any:
    """Return transformers' pipeline, with the tokenizer as its file has it."""
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"), unk_token="<unk>", pad_token="<pad>"
    )
    return transformers.pipeline(
        "token-classification",
        model=str(folder),
        tokenizer=tokenizer,
        aggregation_strategy="first",
    )


def is_sound(words: Sequence[tuple[int, int]]) -> bool:
    """Return whether words are not empty and do not overlap.

    The pipeline's are and do where a tokenizer has no token for a blank with the letter after it:
    it takes the blank's token for a word of its own.
    """
    ends = [0, *(end for _, end in words)]
    return all(last <= start < end for last, (start, end) in zip(ends, words, strict=False))


@pytest.mark.filterwarnings("ignore:Tokenizer does not support real words")
def test_entities_on_real_lines_are_the_pipelines(
    random_checkpoint: tuple[Path, list[str]],
) -> None:
    folder, texts = random_checkpoint
    checkpoint = load_checkpoint(folder)
    tagger = Tagger(checkpoint.encoder, checkpoint.tags, TorchBackend(checkpoint.model))
    pipeline = pipeline_of(folder)
    words = {text: pipeline_words(pipeline, text) for text in texts}
    lines = [text for text in texts if is_sound(words[text])]
    assert len(lines) >= 200
    assert [e.offsets for e in checkpoint.encoder.encode(lines)] == [words[text] for text in lines]
    expected = [pipeline_entities(pipeline, line) for line in lines]
    got = tagger.tag(lines)
    assert sum(map(len, expected)) >= 500
    assert {e.label for line in expected for e in line} == set(TINY_LABELS)
    assert list(map(found, got)) == list(map(found, expected))
    scores = [[e.score for line in answers for e in line] for answers in (got, expected)]
    assert np.abs(np.subtract(*scores)).max() <= SCORE_ATOL
