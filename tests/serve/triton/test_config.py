"""Tests Triton's configuration: the one checked in is the one generated, and says what it must."""

from __future__ import annotations

from pathlib import Path

from tritonclient.grpc import model_config_pb2 as pb

from serve.triton.config import config_text, model_config, parse_config
from serve.triton.names import MAX_BATCH_SIZE, MODEL

ROOT = Path(__file__).resolve().parents[3]


def test_the_checked_in_configuration_is_the_generated_one() -> None:
    assert (ROOT / "model_repository" / MODEL / "config.pbtxt").read_text() == config_text()


def test_the_text_parses_back_to_the_same_configuration() -> None:
    assert parse_config(config_text()) == model_config()


def test_texts_of_any_length_merge_in_the_batcher() -> None:
    config = model_config()
    assert config.max_batch_size == MAX_BATCH_SIZE > 1
    assert config.HasField("dynamic_batching")
    assert config.dynamic_batching.max_queue_delay_microseconds == 0
    assert [(t.data_type, list(t.dims)) for t in config.input] == [(pb.TYPE_STRING, [1])]
    assert {tuple(tensor.dims) for tensor in config.output} == {(1,)}


def test_the_batcher_has_no_queue_policy_of_any_kind() -> None:
    text = config_text()
    for stalls in ("queue_policy", "max_queue_size", "timeout", "priority"):
        assert stalls not in text


def test_the_model_is_warm_before_it_is_ready() -> None:
    assert model_config().model_warmup
