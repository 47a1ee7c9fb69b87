"""The bundle in optimum's own loader, in optimum's own environment: equal logits."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export.__main__ import main
from export.checkpoint import TorchBackend, load_checkpoint
from serve.bundle import Bundle, Precision
from serve.encoding import EncodedBatch
from serve.session import OrtBackend

TEXTS = [
    "replace oil pump",
    "x",
    "ENGINE leaking, please inspect the left hand mirror on engine 12",
]
SCRIPT = """
import json, sys
from optimum.onnxruntime import ORTModelForTokenClassification
from transformers import AutoTokenizer

folder, texts, files = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3:]
encoded = AutoTokenizer.from_pretrained(folder)(texts, padding=True, return_tensors="pt")
answers = {}
for file in files:
    model = ORTModelForTokenClassification.from_pretrained(folder, file_name=file)
    answers[file] = {
        "inputs": sorted(model.input_names),
        "tags": [model.config.id2label[i] for i in range(model.config.num_labels)],
        "with_types": model(**encoded).logits.tolist(),
        "without": model(encoded["input_ids"], encoded["attention_mask"]).logits.tolist(),
    }
print(json.dumps({**{name: encoded[name].tolist() for name in encoded}, "answers": answers}))
"""


@pytest.fixture(scope="module")
def bundle(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("optimum") / "bundle"
    flags = ["--int8", "--tensorrt"]  # which has a model_int8.onnx of its own, one folder deeper
    assert main(["--model", str(tiny_checkpoint), "--output", str(folder), *flags]) == 0
    return Bundle.load(folder)


@pytest.fixture(scope="module")
def theirs(bundle: Bundle, optimum_python: Path) -> dict[str, Any]:
    """Return what optimum makes of the texts with every graph of the bundle."""
    files = [graph.file for graph in bundle.manifest.graphs]
    command = [optimum_python, "-c", SCRIPT, bundle.folder, json.dumps(TEXTS), *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


@pytest.fixture(scope="module")
def batch(bundle: Bundle) -> EncodedBatch:
    """Return the texts as we encode them."""
    encoder = bundle.encoder()
    return encoder.collate([text.windows[0] for text in encoder.encode(TEXTS)])


def test_the_bundles_tokenizer_gives_the_same_padded_batch(
    theirs: dict[str, Any], batch: EncodedBatch
) -> None:
    assert theirs["input_ids"] == batch.input_ids.tolist()
    assert theirs["attention_mask"] == batch.attention_mask.tolist()
    assert (batch.attention_mask == 0).any(), "expected padding"
    assert "token_type_ids" in theirs, "expected the tokenizer to offer what our graphs do not take"


@pytest.mark.parametrize("precision", [Precision.FP32, Precision.INT8])
def test_optimum_loads_each_graph_and_gives_the_same_logits(
    bundle: Bundle, theirs: dict[str, Any], batch: EncodedBatch, precision: Precision
) -> None:
    info = bundle.graph(precision)
    answer = theirs["answers"][info.file]
    assert answer["inputs"] == ["attention_mask", "input_ids"]
    assert answer["tags"] == list(bundle.tags.names)
    ours = OrtBackend(bundle.read_graph(info)).logits(batch)
    real = batch.attention_mask == 1
    for inputs in ("with_types", "without"):
        np.testing.assert_allclose(np.array(answer[inputs])[real], ours[real], atol=1e-5)


def test_optimums_fp32_logits_are_pytorchs(
    tiny_checkpoint: Path, theirs: dict[str, Any], batch: EncodedBatch
) -> None:
    torch_logits = TorchBackend(load_checkpoint(tiny_checkpoint).model).logits(batch)
    real = batch.attention_mask == 1
    answer = np.array(theirs["answers"]["model.onnx"]["with_types"])
    np.testing.assert_allclose(answer[real], torch_logits[real], atol=1e-4)
