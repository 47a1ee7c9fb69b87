"""Owns Triton's configuration of an engine, built as the protobuf Triton itself reads.

It serves logits, not entities: the text stays with whoever calls it. One instance per GPU offers
every profile, and Triton takes the one whose `opt` shape is nearest to a request; it wants all
profiles to start at batch 1 and to end at the same batch. As everywhere here there is no queue
policy, limit, timeout or priority: with any of them the batcher stalls.
"""

from __future__ import annotations

from typing import Any

from export.tensorrt.profiles import MAX_BATCH
from serve.bundle import Precision
from serve.tensors import INPUTS, LOGITS
from serve.triton import missing_package

REPOSITORY = "model_repository"
PLAN = "model.plan"
CONFIG = "config.pbtxt"
HEADER = "# Written by python -m export --tensorrt; see export/tensorrt/triton.py.\n"


def model_name(precision: Precision) -> str:
    """Return the name Triton knows an engine by."""
    return f"tagger_tensorrt_{precision}"


def engine_config(precision: Precision, *, num_tags: int, num_profiles: int) -> Any:  # noqa: ANN401  the protobuf package has no types
    """Return the `inference.ModelConfig` of an engine.

    Args:
        precision: Of the engine.
        num_tags: L, the number of tags it scores.
        num_profiles: Optimization profiles in it.

    Raises:
        ServerError: If tritonclient is not installed.
    """
    try:
        from tritonclient.grpc import model_config_pb2 as pb
    except ImportError as error:
        raise missing_package(error) from error
    return pb.ModelConfig(
        name=model_name(precision),
        platform="tensorrt_plan",
        max_batch_size=MAX_BATCH,
        input=[pb.ModelInput(name=s.name, data_type=pb.TYPE_INT32, dims=[-1]) for s in INPUTS],
        output=[pb.ModelOutput(name=LOGITS.name, data_type=pb.TYPE_FP32, dims=[-1, num_tags])],
        dynamic_batching=pb.ModelDynamicBatching(),
        instance_group=[
            pb.ModelInstanceGroup(
                count=1,
                kind=pb.ModelInstanceGroup.KIND_GPU,
                profile=[str(i) for i in range(num_profiles)],
            )
        ],
    )


def engine_config_text(precision: Precision, *, num_tags: int, num_profiles: int) -> str:
    """Return `config.pbtxt` of an engine; see `engine_config`."""
    from google.protobuf import text_format

    config = engine_config(precision, num_tags=num_tags, num_profiles=num_profiles)
    return HEADER + str(text_format.MessageToString(config))
