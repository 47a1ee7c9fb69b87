"""Owns what a manifest says of a bundle's origin: the command, and the SHA-256 of what it read."""

from __future__ import annotations

import shlex
from dataclasses import fields
from pathlib import Path

from export.config import ExportConfig
from export.snapshot import Snapshot, check_same
from serve.artefacts.pretrained import CONFIG, TOKENIZER, WEIGHTS
from serve.bundle import sha256
from serve.decode.decoding import DECODING

CALIBRATION = "calibration.jsonl"
DEV = "dev.jsonl"
_KEYS = {
    "checkpoint_sha256": WEIGHTS,
    "config_sha256": CONFIG,
    "tokenizer_sha256": TOKENIZER,
    "decoding_sha256": DECODING,
}
"""What a manifest says of a checkpoint, and the file it says it of."""


def dev_file(config: ExportConfig) -> Path:
    """Return the file of the lines that the gate scores."""
    return config.data or config.model / DEV


def provenance(config: ExportConfig, snapshot: Snapshot) -> dict[str, str]:
    """Return what an export can be repeated from.

    Args:
        config: The export's settings.
        snapshot: What the checkpoint's files held.

    Raises:
        OSError: If the dev lines or those to calibrate on cannot be read.
    """
    digests = snapshot.digests()
    read = {key: digests[name] for key, name in _KEYS.items() if name in digests}
    lines = {key: sha256(path.read_bytes()) for key, path in _lines(config).items()}
    return {"command": command_line(config), **read, **lines}


def check_unchanged(config: ExportConfig, snapshot: Snapshot, origin: dict[str, str]) -> None:
    """Refuse to vouch for an origin that is another by now.

    Raises:
        CheckpointError: Naming a file that changed, came or went.
        OSError: If the lines can no longer be read.
    """
    snapshot.check_unchanged()
    for key, path in _lines(config).items():
        check_same(path, origin[key], sha256(path.read_bytes()))


def _lines(config: ExportConfig) -> dict[str, Path]:
    dev, calibration = dev_file(config), config.model / CALIBRATION
    return {
        "dev_sha256": dev,
        "calibration_sha256": calibration if calibration.is_file() else dev,
    }


def command_line(config: ExportConfig) -> str:
    """Return the shortest command that asks for an export's settings, quoted for a shell."""
    words = ["python", "-m", "export"]
    for field in fields(config):
        value = getattr(config, field.name)
        if value != field.default:
            flag = "--" + field.name.replace("_", "-")
            words += [flag] if value is True else [flag, str(value)]
    return shlex.join(words)
