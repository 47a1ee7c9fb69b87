"""Tests the configurations of the tagger: as generated, and saying what they must."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tritonclient.grpc import model_config_pb2 as pb

from serve.triton.config import config_texts, model_configs
from serve.triton.names import MAX_BATCH_SIZE, MODEL
from tests.serve.pbtxt import parse_config

ROOT = Path(__file__).resolve().parents[3]
CONFIGS = model_configs()
EMBEDDED = "configs/embedded.pbtxt"


def parameters(config: Any) -> dict[str, str]:
    return {key: value.string_value for key, value in config.parameters.items()}


@pytest.mark.parametrize("name", CONFIGS)
def test_the_checked_in_configuration_is_the_generated_one(name: str) -> None:
    assert (ROOT / "model_repository" / MODEL / name).read_text() == config_texts()[name]


@pytest.mark.parametrize("name", CONFIGS)
def test_the_text_parses_back_to_the_same_configuration(name: str) -> None:
    assert parse_config(config_texts()[name]) == CONFIGS[name]


@pytest.mark.parametrize("config", CONFIGS.values(), ids=list(CONFIGS))
def test_texts_of_any_length_merge_in_the_batcher(config: Any) -> None:
    assert config.max_batch_size == MAX_BATCH_SIZE > 1
    assert config.HasField("dynamic_batching")
    assert config.dynamic_batching.max_queue_delay_microseconds == 0
    assert [(t.data_type, list(t.dims)) for t in config.input] == [(pb.TYPE_STRING, [1])]
    assert {tuple(tensor.dims) for tensor in config.output} == {(1,)}


@pytest.mark.parametrize("name", CONFIGS)
def test_the_batcher_has_no_queue_policy_of_any_kind(name: str) -> None:
    for stalls in ("queue_policy", "max_queue_size", "timeout", "priority"):
        assert stalls not in config_texts()[name]


@pytest.mark.parametrize("config", CONFIGS.values(), ids=list(CONFIGS))
def test_the_model_is_warm_before_it_is_ready_and_every_version_is_served(config: Any) -> None:
    assert config.model_warmup
    assert config.version_policy.HasField("all")


def test_one_parameter_says_who_runs_the_graph() -> None:
    called, embedded = CONFIGS["config.pbtxt"], CONFIGS[EMBEDDED]
    assert parameters(called) == {"logits_of": "encoder"}
    assert parameters(embedded) == {"num_threads": "auto"}
    assert (called.instance_group[0].count, embedded.instance_group[0].count) == (2, 1)
    assert called.input == embedded.input
    assert called.output == embedded.output
