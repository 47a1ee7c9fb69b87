"""Builds what tests of several packages share: a tiny BERT, its checkpoint and lines, a bundle.

Everything is made here from a seed in a few seconds: no network, no downloaded weights. The tiny
model has two layers of width 32 (four heads of 8), 64 positions and a vocabulary of about 100.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import WordPiece
from transformers import BertConfig, BertForTokenClassification, BertModel, PreTrainedModel

from serve.bundle import Precision
from serve.encoding import Encoder
from serve.examples import Example, Span, write_jsonl
from serve.labels import Tags
from serve.tagger import Tagger
from tests.serve.tiny import write_bundle
from train.scores.evaluate import TorchBackend, evaluate
from train.scores.report import evaluation_json

ROOT = Path(__file__).resolve().parent.parent
TINY_MAX_TOKENS = 64
TINY_LABELS = ("Activity", "Item", "Observation")
torch.set_num_threads(1)  # tiny tensors: a second thread only waits, for long on a busy machine
SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
ACTIVITIES = ("replace", "repair", "inspect", "change out", "clean", "rewelding")
ITEMS = ("pump", "oil pump", "hydraulic hose", "engine", "belt", "left hand mirror", "air-con unit")
OBSERVATIONS = ("leaking", "broken", "not working", "worn", "making noise")
FILLERS = ("on", "the", "is", "and", "please", "at", "for", "near", ".", ",", "#", "12", "pm")
PIECES = ("##s", "##ing", "##ed", "##er", "weld", "re", "##weld", "leak", "hydra", "##ulic")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the size of the tests in tests/soak, and the device of those in tests/gpu."""
    parser.addoption("--large", action="store_true", help="soak tests at their large size: hours")
    parser.addoption("--gpu", action="store_true", help="let the tests see a GPU; for tests/gpu")


def pytest_configure(config: pytest.Config) -> None:
    """Hide a GPU from all tests but those that are for one: what they expect is the CPU's."""
    if not config.getoption("--gpu"):
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Have a report hold text only: a file's name may not be, and ends the worker that says it."""
    report = yield
    report.sections = [
        (name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections
    ]
    return report


@pytest.fixture(autouse=True)
def _same_chance() -> None:
    """Give each test the same random numbers, whichever tests ran before it."""
    torch.manual_seed(0)


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what the user's machine was tuned to out of the tests, and theirs out of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of the public data sets; see README for where they come from."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        reason = f"the public data sets are not at {folder}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


@pytest.fixture(scope="session")
def optimum_python() -> Path:
    """Return the Python of optimum's own environment, which make test sets up."""
    python = ROOT / ".venv-optimum" / "bin" / "python"
    if not python.is_file():
        reason = f"optimum's environment is not at {python}: make .venv-optimum/ready"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return python


@pytest.fixture(scope="session")
def environment() -> Path:
    """Return the virtual environment with Triton, which make builds."""
    return ROOT / ".venv-triton"


@pytest.fixture(scope="session")
def served_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the bundle that a real Triton serves, with an INT8 graph, which it prefers."""
    folder = tmp_path_factory.mktemp("served") / "bundle"
    return write_bundle(folder, precisions=(Precision.FP32, Precision.INT8))


@pytest.fixture(scope="session")
def embedded(served_bundle: Path) -> Tagger:
    """Return the embedded tagger of that bundle, whose answers are the right ones."""
    return Tagger.load(served_bundle)


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with an untrained BERT encoder and its tokenizer."""
    folder = tmp_path_factory.mktemp("tiny") / "base"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = BertModel(tiny_config(), add_pooling_layer=False)
    write_tiny_model(folder, model)
    return folder


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a trained checkpoint in the form train writes; F1 on its dev.jsonl is above 0.9."""
    folder = tmp_path_factory.mktemp("tiny") / "checkpoint"
    tags = Tags.from_labels(TINY_LABELS)
    model = trained_tiny_model(tags, tiny_lines(seed=1, num_lines=200))
    write_tiny_model(folder, model)
    dev = tiny_lines(seed=2, num_lines=30)
    write_jsonl(folder / "dev.jsonl", dev)
    evaluation = evaluate(Tagger(tiny_encoder(), tags, TorchBackend(model)), dev)
    f1 = evaluation.entities.micro.f1
    assert f1 > 0.9, f"the tiny model learned too little: F1 {f1}"
    write_json(folder / "evaluation.json", {"dev": evaluation_json(evaluation)})
    write_json(folder / "train.json", {"base": "tiny"})
    return folder


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with train.jsonl, dev.jsonl and test.jsonl of tiny lines."""
    folder = tmp_path_factory.mktemp("data")
    for seed, (split, num_lines) in enumerate({"train": 200, "dev": 30, "test": 30}.items(), 1):
        write_jsonl(folder / f"{split}.jsonl", tiny_lines(seed=seed, num_lines=num_lines))
    return folder


def tiny_vocabulary() -> dict[str, int]:
    """Return about 100 tokens: special ones, letters, pieces and the words of `tiny_lines`."""
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    phrases = " ".join((*ACTIVITIES, *ITEMS, *OBSERVATIONS, *FILLERS)).replace("-", " - ").split()
    words = [word for word in phrases if word != "rewelding" and word != "leaking"]
    tokens = [*SPECIAL_TOKENS, *letters, *PIECES, *words, *(f"##{c}" for c in "abcdexyz0123")]
    return {token: i for i, token in enumerate(dict.fromkeys(tokens))}


def tiny_tokenizer() -> Tokenizer:
    """Return an uncased BERT tokenizer with the tiny vocabulary."""
    vocabulary = tiny_vocabulary()
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    sep, cls = (("[SEP]", vocabulary["[SEP]"]), ("[CLS]", vocabulary["[CLS]"]))
    tokenizer.post_processor = processors.BertProcessing(sep, cls)
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
    return tokenizer


def tiny_encoder() -> Encoder:
    """Return an encoder with the tiny tokenizer."""
    return Encoder(tiny_tokenizer(), max_tokens=TINY_MAX_TOKENS, pad_id=0)


def tiny_config(tags: Tags | None = None) -> BertConfig:
    """Return the tiny model's configuration, with a head for `tags` if given."""
    config = BertConfig(
        vocab_size=len(tiny_vocabulary()),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=TINY_MAX_TOKENS,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        pad_token_id=0,
    )
    if tags:
        config.id2label = dict(enumerate(tags.names))
        config.label2id = {name: i for i, name in enumerate(tags.names)}
    return config


def write_tiny_model(folder: Path, model: PreTrainedModel) -> None:
    """Write a model and the tiny tokenizer in Hugging Face form."""
    model.save_pretrained(folder)
    tiny_tokenizer().save(str(folder / "tokenizer.json"))
    write_json(
        folder / "tokenizer_config.json",
        {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": 64},
    )


def write_json(path: Path, value: object) -> None:
    """Write a value as JSON."""
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def tiny_lines(*, seed: int, num_lines: int) -> list[Example]:
    """Return short work orders from a small grammar, in upper, lower and title case."""
    choose = random.Random(seed)
    return [_tiny_line(choose) for _ in range(num_lines)]


def _tiny_line(choose: random.Random) -> Example:
    item, other = choose.sample(ITEMS, 2)
    parts: list[tuple[str, str]] = choose.choice(
        [
            [(choose.choice(ACTIVITIES), "Activity"), (item, "Item")],
            [(item, "Item"), (choose.choice(OBSERVATIONS), "Observation")],
            [(item, "Item"), ("is", ""), (choose.choice(OBSERVATIONS), "Observation"), (".", "")],
            [(choose.choice(ACTIVITIES), "Activity"), (item, "Item"), ("on", ""), (other, "Item")],
            [("please", ""), (choose.choice(ACTIVITIES), "Activity"), ("the", ""), (item, "Item")],
            [(item, "Item"), ("#", ""), ("12", ""), (choose.choice(OBSERVATIONS), "Observation")],
        ]
    )
    case = choose.choice([str.lower, str.upper, str.title])
    text, spans = "", []
    for phrase, label in parts:
        start = len(text) + bool(text)
        text = f"{text} {case(phrase)}".strip()
        if label:
            spans.append(Span(start, len(text), label))
    return Example(text, tuple(spans))


def trained_tiny_model(tags: Tags, lines: list[Example]) -> BertForTokenClassification:
    """Return a tiny tagger fitted to `lines` in a few seconds, the same one each time."""
    input_ids, attention_mask, tag_ids = _training_tensors(tags, lines)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = BertForTokenClassification(tiny_config(tags))
        optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
        for _ in range(12):
            for rows in torch.randperm(len(lines)).split(20):
                output = model(input_ids[rows], attention_mask=attention_mask[rows])
                loss = torch.nn.functional.cross_entropy(output.logits.mT, tag_ids[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    return model.eval()


def _training_tensors(
    tags: Tags, lines: list[Example]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    encoder = tiny_encoder()
    encoded = encoder.encode([line.text for line in lines])
    windows = [text.windows[0] for text in encoded]
    batch = encoder.collate(windows, max(len(window.input_ids) for window in windows))
    tag_ids = torch.full(batch.input_ids.shape, -100)
    for row, (line, text) in enumerate(zip(lines, encoded, strict=True)):
        first_tokens = text.windows[0].first_tokens
        for token, (start, _) in zip(first_tokens, text.offsets, strict=True):
            span = next((s for s in line.spans if s.start <= start < s.end), None)
            prefix = "B-" if span and span.start == start else "I-"
            tag_ids[row, token] = tags.id_of(f"{prefix}{span.label}" if span else "O")
    return torch.from_numpy(batch.input_ids), torch.from_numpy(batch.attention_mask), tag_ids
