"""Owns Triton's configuration of the tagger, built as the protobuf Triton itself reads.

Policy:
* A text is a tensor of shape [1], so texts of any length merge in the dynamic batcher.
* The batcher waits for nobody: what queued up while the model was busy is the next batch.
* There is no queue policy, no queue limit, no timeout and no priority. With any of them the
  batcher of current releases misses wake-ups and stalls for half a second; admission control
  belongs to the client.
* Every version in the repository is served; `serve.versions` sees to it that there are no others
  than callers ask for.

There are two worlds. `config.pbtxt` is for a Triton with the C++ backends, NVIDIA's container: the
model `encoder` runs the graph on the GPU, and two tokenising processes share it, so that one works
while the other waits. `configs/embedded.pbtxt`, chosen by `--model-config-name=embedded`, is for
one with the Python backend alone, nvidia-pytriton's wheel: one process has the whole model in it
and its threads fill the cores; `num_threads` says how many, `auto` is one per available core, at
most 4. They differ in the parameter `logits_of`, and in the number of processes.

The warm-up here sends one empty text through the whole server. The embedded model itself warms up
its session, length by length, before Triton calls it ready; the encoder has a warm-up of its own.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb

from serve.triton.names import (
    EMBEDDED,
    ENCODER,
    ENTITIES,
    GRAPH,
    LOGITS_OF,
    MAX_BATCH_SIZE,
    MODEL,
    NUM_CHARS,
    NUM_THREADS,
    TEXT,
    TRAFFIC,
)

CONFIG = "config.pbtxt"
NUM_TOKENIZING = 2
HEADER = "# Written by python -m serve publish where it is missing; see serve/triton/config.py.\n"
_REVISION = "# Revision 1.\n"
"""Of the settings; where it rises, the next publish writes those in repositories anew, whatever was
tuned in them. Without one they may lack the output TRAFFIC."""


def model_configs() -> dict[str, Any]:
    """Return the tagger's `inference.ModelConfig` for each world, by its file."""
    return {
        CONFIG: _model_config(NUM_TOKENIZING, {LOGITS_OF: ENCODER}),
        named(EMBEDDED): _model_config(1, {NUM_THREADS: "auto"}),
    }


def named(name: str) -> str:
    """Return the file of the configuration that `--model-config-name` chooses by a name."""
    return f"configs/{name}.pbtxt"


def config_texts() -> dict[str, str]:
    """Return the tagger's configurations as text, by their file."""
    return {name: as_text(config, HEADER + _REVISION) for name, config in model_configs().items()}


def is_outdated(text: str) -> bool:
    """Return whether settings are ours, and not of this revision; a user's own stay."""
    return text.startswith(HEADER) and _REVISION not in text


def every_version() -> Any:  # noqa: ANN401  the protobuf package has no types
    """Return the policy that serves every version there is."""
    return pb.ModelVersionPolicy(all=pb.ModelVersionPolicy.All())


def as_text(config: Any, header: str) -> str:  # noqa: ANN401
    """Return a configuration as text."""
    return header + str(text_format.MessageToString(config))


def _model_config(num_instances: int, parameters: dict[str, str]) -> Any:  # noqa: ANN401
    empty_text = pb.ModelWarmup.Input(data_type=pb.TYPE_STRING, dims=[1], zero_data=True)
    return pb.ModelConfig(
        name=MODEL,
        backend="python",
        version_policy=every_version(),
        max_batch_size=MAX_BATCH_SIZE,
        input=[pb.ModelInput(name=TEXT, data_type=pb.TYPE_STRING, dims=[1])],
        output=[
            pb.ModelOutput(name=name, data_type=kind, dims=[1])
            for name, kind in (
                (ENTITIES, pb.TYPE_STRING),
                (NUM_CHARS, pb.TYPE_INT32),
                (GRAPH, pb.TYPE_STRING),
                (TRAFFIC, pb.TYPE_STRING),
            )
        ],
        dynamic_batching=pb.ModelDynamicBatching(),
        instance_group=[
            pb.ModelInstanceGroup(count=num_instances, kind=pb.ModelInstanceGroup.KIND_CPU)
        ],
        model_warmup=[pb.ModelWarmup(name="empty text", batch_size=1, inputs={TEXT: empty_text})],
        parameters={k: pb.ModelParameter(string_value=v) for k, v in parameters.items()},
    )
