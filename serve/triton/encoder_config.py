"""Owns Triton's configurations of the encoder: token ids to logits, once for each backend.

* `config.pbtxt`: the C++ onnxruntime backend on a GPU. Where the graph is made for TensorRT, the
  TensorRT provider runs it and keeps its engines in a cache; CUDA takes what is left, and the whole
  of any other graph. The number types are in the graph, so no `precision_mode` is asked for; that
  the provider keeps to them is not proven (microsoft/onnxruntime#18707 was closed unmerged). It
  gets one optimization profile, for all lengths: of several it builds each and runs the first
  alone, and fails on what only another holds (microsoft/onnxruntime#31624, open in 2026-08).
* `configs/trt.pbtxt`: a TensorRT plan, which `build.sh` of the bundle builds from the graph; see
  `serve.versions.plans`. It has a profile per length bucket; Triton's own backend chooses.
* `configs/embedded.pbtxt`: the Python backend, for a Triton without the others.

All three have the graph's own tensors. The number of tags is fixed in the graph, and the
onnxruntime backend wants it in the configuration, so one configuration serves versions with as many
tags only. The batcher merges requests of equal length, which the tagger's are: it pads. As
everywhere here there is no queue policy, limit, timeout or priority: with any of them the batcher
stalls.

Each length bucket is warmed up before Triton calls the model ready.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tritonclient.grpc import model_config_pb2 as pb

from serve.bundle import Bundle
from serve.encoder_graph import encoder_graph
from serve.tensors import INPUTS, LOGITS, IdType
from serve.triton.config import CONFIG, as_text, every_version, named
from serve.triton.names import EMBEDDED, ENCODER, ENCODER_FILE, NUM_THREADS
from serve.triton.profiles import MAX_BATCH, Profile, profiles_for, shapes_text, spanning

PLAN = "trt"
ENGINES = "engine_cache"
"""Where TensorRT's engines are kept, below the folder that Triton runs in, as the backend hands the
path on as it is: /opt/tritonserver in the container, where it lasts only as a volume. Nobody else
may write there, for an engine is code. Each graph has an engine of its own, see
`serve.encoder_graph`; those of versions that are gone stay until somebody removes them."""
_REVISION = 2
"""Of the settings for a graph for TensorRT; where it rises, those in repositories are written anew,
whatever was tuned in them. 1 told ONNX Runtime of several profiles."""
HEADER = "# Written by python -m serve publish; see serve/triton/encoder_config.py.\n"
_KINDS = {"int64": pb.TYPE_INT64, "int32": pb.TYPE_INT32}


@dataclass(frozen=True, slots=True)
class EncoderShape:
    """What of a bundle the encoder's configurations depend on.

    Attributes:
        num_tags: L, the number of tags that are scored.
        max_tokens: Longest sequence the model takes.
        ids: Element type of the graph's inputs.
    """

    num_tags: int
    max_tokens: int
    ids: IdType

    @property
    def is_for_tensorrt(self) -> bool:
        """Whether TensorRT takes all of the graph, see `serve.encoder_graph`."""
        return self.ids == "int32"

    @classmethod
    def of(cls, bundle: Bundle) -> EncoderShape:
        """Return a bundle's."""
        manifest = bundle.manifest
        return cls(len(bundle.tags), manifest.max_tokens, encoder_graph(manifest).ids)


def encoder_configs(shape: EncoderShape) -> dict[str, Any]:
    """Return the encoder's `inference.ModelConfig` for each backend, by its file."""
    configs = {CONFIG: _onnxruntime(shape), named(EMBEDDED): _embedded(shape)}
    if shape.is_for_tensorrt:
        profiles = profiles_for(shape.max_tokens)
        plan = plan_config(ENCODER, num_tags=shape.num_tags, profiles=profiles)
        configs[named(PLAN)] = plan
    return configs


def encoder_texts(shape: EncoderShape) -> dict[str, str]:
    """Return the encoder's configurations as text, by their file."""
    header = HEADER + "".join(marks(shape))
    return {name: as_text(config, header) for name, config in encoder_configs(shape).items()}


def marks(shape: EncoderShape) -> tuple[str, ...]:
    """Return the comments by which a configuration says what it was written for, and when.

    The first stays as it was before there was a second: a supervisor of that time, which runs on
    after an upgrade, looks for it, and would write settings without it as it knew them.
    """
    made_for = "TensorRT" if shape.is_for_tensorrt else "CUDA"
    line = (
        f"# For {shape.num_tags} tags, {shape.max_tokens} tokens, {shape.ids} ids, a graph for "
        f"{made_for}.\n"
    )
    return (line, f"# Revision {_REVISION}.\n") if shape.is_for_tensorrt else (line,)


def plan_config(name: str, *, num_tags: int, profiles: Sequence[Profile]) -> Any:  # noqa: ANN401  the protobuf package has no types
    """Return the `inference.ModelConfig` of a TensorRT plan.

    One instance per GPU offers every profile, and Triton takes the one whose `opt` shape is nearest
    to a request; it wants all profiles to start at batch 1 and to end at the same batch.

    Args:
        name: The model's name.
        num_tags: L, the number of tags it scores.
        profiles: Its optimization profiles, in the plan's order.
    """
    config = _config(name, "int32", num_tags, profiles)
    config.platform = "tensorrt_plan"
    numbers = [str(number) for number in range(len(profiles))]
    config.instance_group.add(count=1, kind=pb.ModelInstanceGroup.KIND_GPU, profile=numbers)
    return config


def _onnxruntime(shape: EncoderShape) -> Any:  # noqa: ANN401
    profiles = profiles_for(shape.max_tokens)
    config = _config(ENCODER, shape.ids, shape.num_tags, profiles)
    config.backend = "onnxruntime"
    config.default_model_filename = ENCODER_FILE
    config.instance_group.add(count=1, kind=pb.ModelInstanceGroup.KIND_GPU)
    accelerators = config.optimization.execution_accelerators.gpu_execution_accelerator
    if shape.is_for_tensorrt:
        accelerators.add(name="tensorrt", parameters=_tensorrt_parameters(spanning(profiles)))
    accelerators.add(name="cuda")
    return config


def _tensorrt_parameters(profile: Profile) -> dict[str, str]:
    return {
        "trt_engine_cache_enable": "true",
        "trt_engine_cache_path": ENGINES,
        "trt_timing_cache_enable": "true",
        "trt_timing_cache_path": ENGINES,
        "trt_profile_min_shapes": shapes_text(profile, "min"),
        "trt_profile_opt_shapes": shapes_text(profile, "opt"),
        "trt_profile_max_shapes": shapes_text(profile, "max"),
    }


def _embedded(shape: EncoderShape) -> Any:  # noqa: ANN401
    config = _config(ENCODER, shape.ids, shape.num_tags, profiles_for(shape.max_tokens))
    config.backend = "python"
    config.instance_group.add(count=1, kind=pb.ModelInstanceGroup.KIND_CPU)
    config.parameters[NUM_THREADS].string_value = "auto"
    return config


def _config(name: str, ids: IdType, num_tags: int, profiles: Sequence[Profile]) -> Any:  # noqa: ANN401
    kind = _KINDS[ids]
    longest = [profile[INPUTS[0].name].max[1] for profile in profiles]
    return pb.ModelConfig(
        name=name,
        version_policy=every_version(),
        max_batch_size=MAX_BATCH,
        input=[pb.ModelInput(name=spec.name, data_type=kind, dims=[-1]) for spec in INPUTS],
        output=[pb.ModelOutput(name=LOGITS.name, data_type=pb.TYPE_FP32, dims=[-1, num_tags])],
        dynamic_batching=pb.ModelDynamicBatching(),
        model_warmup=[_warmup(num_tokens, kind) for num_tokens in longest],
    )


def _warmup(num_tokens: int, kind: int) -> Any:  # noqa: ANN401
    """Return a request of one sequence of padding: id 0 is a token of every model."""
    zeros = pb.ModelWarmup.Input(data_type=kind, dims=[num_tokens], zero_data=True)
    inputs = {spec.name: zeros for spec in INPUTS}
    return pb.ModelWarmup(name=f"{num_tokens} tokens", batch_size=1, inputs=inputs)
