"""Reads Triton's configurations as Triton reads them."""

from __future__ import annotations

from typing import Any

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb


def parse_config(text: str) -> Any:
    """Return the `inference.ModelConfig` that a `config.pbtxt` holds."""
    return text_format.Parse(text, pb.ModelConfig())
