"""Owns what a manifest says of a bundle's origin: the command, and the SHA-256 of what it read."""

from __future__ import annotations

import shlex
from dataclasses import fields
from pathlib import Path

from export.config import ExportConfig
from serve.bundle import TOKENIZER, sha256
from serve.decode.decoding import DECODING

CALIBRATION = "calibration.jsonl"
DEV = "dev.jsonl"


def dev_file(config: ExportConfig) -> Path:
    """Return the file of the lines that the gate scores."""
    return config.data or config.model / DEV


def provenance(config: ExportConfig) -> dict[str, str | int]:
    """Return what an export can be repeated from, beside the weights' SHA-256.

    Raises:
        OSError: If a file of the checkpoint, or the dev lines, cannot be read.
    """
    calibration = config.model / CALIBRATION
    dev = dev_file(config)
    read = {
        "config_sha256": config.model / "config.json",
        "tokenizer_sha256": config.model / TOKENIZER,
        "dev_sha256": dev,
        "calibration_sha256": calibration if calibration.is_file() else dev,
    }
    if (decoding := config.model / DECODING).is_file():
        read["decoding_sha256"] = decoding
    digests = {name: sha256(path.read_bytes()) for name, path in read.items()}
    return {"command": command_line(config), **digests}


def command_line(config: ExportConfig) -> str:
    """Return the shortest command that asks for an export's settings, quoted for a shell."""
    words = ["python", "-m", "export"]
    for field in fields(config):
        value = getattr(config, field.name)
        if value != field.default:
            flag = "--" + field.name.replace("_", "-")
            words += [flag] if value is True else [flag, str(value)]
    return shlex.join(words)
