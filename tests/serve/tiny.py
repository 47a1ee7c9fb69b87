"""Makes bundles small enough for a test: a real WordPiece tokenizer, nine nodes of ONNX, no torch.

The graph's logits depend on the token and on the mean of its text's tokens under the mask, so a
wrong mask, a swapped row or a neighbour's token changes the answer.
"""

from __future__ import annotations

import json
import string
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing

from serve.bundle import GraphInfo, Manifest, Precision, Provider, sha256
from serve.encoder_graph import TENSORRT, TENSORRT_GRAPH
from serve.entities import Entity
from serve.labels import Tags

TAGS = Tags.from_labels(["Activity", "Item", "State"])
WORDS = ["replace", "fix", "hose", "pump", "motor", "leak", "oil", "valve", "broken", "bearing"]
VOCABULARY = [
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]"),
    *WORDS,
    *string.ascii_lowercase,
    *string.digits,
    *(f"##{character}" for character in string.ascii_lowercase + string.digits),
    *string.punctuation,
]
MAX_TOKENS = 32
WIDTH = 8
PANICS_AT_MANY_B, MANY_B = "^(b+)+$", "b" * 24 + "!"
"""A pattern to split texts at, and a text for which the Rust code gives up and panics."""


def tiny_tokenizer() -> Tokenizer:
    """Return an uncased WordPiece tokenizer, as BERT's."""
    ids = {token: number for number, token in enumerate(VOCABULARY)}
    tokenizer = Tokenizer(WordPiece(vocab=ids, unk_token="[UNK]"))
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer


def tiny_graph(
    *,
    seed: int = 0,
    num_tags: int = len(TAGS),
    mask: str = "attention_mask",
    ids: int = TensorProto.INT64,
) -> bytes:
    """Return a graph: (embedding of a token + mean of its text's) times a matrix."""
    random = np.random.default_rng(seed)
    weights = {
        "embedding": random.normal(size=(len(VOCABULARY), WIDTH)).astype(np.float32),
        "head": 2 * random.normal(size=(WIDTH, num_tags)).astype(np.float32),
        "first_axis": np.array([1], dtype=np.int64),
        "last_axis": np.array([2], dtype=np.int64),
    }
    nodes = [
        helper.make_node("Gather", ["embedding", "input_ids"], ["tokens"]),
        helper.make_node("Cast", [mask], ["flat"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["flat", "last_axis"], ["seen"]),
        helper.make_node("Mul", ["tokens", "seen"], ["seen_tokens"]),
        helper.make_node("ReduceSum", ["seen_tokens", "first_axis"], ["total"]),
        helper.make_node("ReduceSum", ["seen", "first_axis"], ["count"]),
        helper.make_node("Div", ["total", "count"], ["mean"]),
        helper.make_node("Add", ["tokens", "mean"], ["mixed"]),
        helper.make_node("MatMul", ["mixed", "head"], ["logits"]),
    ]
    shape = ["B", "T"]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(name, ids, shape) for name in ("input_ids", mask)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [*shape, num_tags])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString()
    return content


def write_bundle(
    folder: Path, *, tags: Tags = TAGS, precisions: tuple[Precision, ...] = (Precision.FP32,)
) -> Path:
    """Write a bundle whose graphs differ from each other."""
    folder.mkdir(parents=True)
    labels = json.dumps({"tags": list(tags.names)}).encode()
    files = {"labels.json": labels, "tokenizer.json": tiny_tokenizer().to_str().encode()}
    graphs = {p: tiny_graph(seed=number) for number, p in enumerate(precisions)}
    for name, content in files.items():
        (folder / name).write_bytes(content)
    for precision, content in graphs.items():
        (folder / f"model_{precision}.onnx").write_bytes(content)
    manifest = Manifest(
        max_tokens=MAX_TOKENS,
        pad_id=0,
        graphs=tuple(graph_info(content, precision) for precision, content in graphs.items()),
        files={name: sha256(content) for name, content in files.items()},
        source={"checkpoint": "none", "num_dev_lines": 0},
        versions={"onnx": onnx.__version__},
    )
    (folder / "manifest.json").write_text(manifest.to_json())
    return folder


def graph_info(content: bytes, precision: Precision = Precision.FP32) -> GraphInfo:
    """Return the manifest's row for a tiny graph."""
    return GraphInfo(
        file=f"model_{precision}.onnx",
        precision=precision,
        provider=Provider.CPU,
        measured_on=str(Provider.CPU),
        sha256=sha256(content),
        size_bytes=len(content),
        opset=17,
        operators={},
        alone=precision is Precision.INT8,
        max_abs_diff=0.0,
        tag_agreement=1.0,
        f1_before=1.0,
        f1_after=1.0,
        f1_loss_interval_points=(0.0, 0.0),
        label_f1_loss_points={},
        allowed_f1_loss_points=0.0,
        allowed_label_f1_loss_points=0.0,
        fp32_nodes=(),
    )


def replace_file(folder: Path, name: str, content: bytes) -> None:
    """Put a file into a bundle, over another or beside, and a manifest that vouches for it."""
    (folder / name).write_bytes(content)
    path = folder / "manifest.json"
    manifest = Manifest.from_json(path.read_text())
    graphs = tuple(
        replace(graph, sha256=sha256(content), size_bytes=len(content))
        if graph.file == name
        else graph
        for graph in manifest.graphs
    )
    is_graph = name in {graph.file for graph in graphs}
    files = manifest.files if is_graph else {**manifest.files, name: sha256(content)}
    path.write_text(replace(manifest, graphs=graphs, files=files).to_json())


def add_tensorrt_graph(folder: Path, *, seed: int = 0) -> None:
    """Put a graph where `python -m export --tensorrt` puts the one that TensorRT runs."""
    (folder / TENSORRT).mkdir(exist_ok=True)
    replace_file(folder, TENSORRT_GRAPH, tiny_graph(seed=seed, ids=TensorProto.INT32))


def overflowing(folder: Path) -> Path:
    """Return a bundle whose graph overflows at one word, motor, which no check meets."""
    graph = onnx.load_from_string(tiny_graph())
    (embedding,) = [tensor for tensor in graph.graph.initializer if tensor.name == "embedding"]
    weights = numpy_helper.to_array(embedding).copy()
    weights[VOCABULARY.index("motor")] = np.inf
    embedding.CopyFrom(numpy_helper.from_array(weights, "embedding"))
    bundle = write_bundle(folder)
    replace_file(bundle, "model_fp32.onnx", graph.SerializeToString())
    return bundle


def noisy_lines(count: int, *, seed: int = 0) -> list[str]:
    """Return seeded lines of 0 to 14 words, some typed badly, a few longer than a window."""
    random = np.random.default_rng(seed)
    words = [*WORDS, "Pump#3", "LEAKING", "1500mm", "o-ring", "à", "e\u0301tat", "🔧", "👩‍🔧", "?!"]
    lengths = np.where(random.random(count) < 0.05, 60, random.integers(0, 15, count))
    return [" ".join(random.choice(words, length)) for length in lengths.tolist()]


def are_same(got: Sequence[Sequence[Entity]], expected: Sequence[Sequence[Entity]]) -> bool:
    """Return whether answers are equal; batches of other shapes round sums in FP32 differently."""
    return [len(row) for row in got] == [len(row) for row in expected] and all(
        (a.label, a.start, a.end) == (b.label, b.start, b.end) and abs(a.score - b.score) < 2e-6
        for row, others in zip(got, expected, strict=True)
        for a, b in zip(row, others, strict=True)
    )
