"""Owns Triton's configuration of the tagger, built as the protobuf Triton itself reads.

Policy:
* A text is a tensor of shape [1], so texts of any length merge in the dynamic batcher.
* The batcher waits for nobody: what queued up while the model was busy is the next batch.
* There is no queue policy, no queue limit, no timeout and no priority. With any of them the
  batcher of current releases misses wake-ups and stalls for half a second; admission control
  belongs to the client.
* One instance: it is a process with the whole model in it, and its threads fill the cores. The
  parameter `num_threads` says how many; `auto` is one per available core, at most 4.
* The warm-up here sends one empty text through the whole server; the model itself warms up its
  session, length by length, before Triton calls it ready.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb

from serve.triton.names import (
    ENTITIES,
    GRAPH,
    MAX_BATCH_SIZE,
    MODEL,
    NUM_CHARS,
    NUM_THREADS,
    TEXT,
)

HEADER = "# Written by python -m serve publish where it is missing; see serve/triton/config.py.\n"


def model_config() -> Any:  # noqa: ANN401  the protobuf package has no types
    """Return the tagger's `inference.ModelConfig`."""
    text = pb.ModelInput(name=TEXT, data_type=pb.TYPE_STRING, dims=[1])
    empty_text = pb.ModelWarmup.Input(data_type=pb.TYPE_STRING, dims=[1], zero_data=True)
    return pb.ModelConfig(
        name=MODEL,
        backend="python",
        max_batch_size=MAX_BATCH_SIZE,
        input=[text],
        output=[
            pb.ModelOutput(name=ENTITIES, data_type=pb.TYPE_STRING, dims=[1]),
            pb.ModelOutput(name=NUM_CHARS, data_type=pb.TYPE_INT32, dims=[1]),
            pb.ModelOutput(name=GRAPH, data_type=pb.TYPE_STRING, dims=[1]),
        ],
        dynamic_batching=pb.ModelDynamicBatching(),
        instance_group=[pb.ModelInstanceGroup(count=1, kind=pb.ModelInstanceGroup.KIND_CPU)],
        model_warmup=[pb.ModelWarmup(name="empty text", batch_size=1, inputs={TEXT: empty_text})],
        parameters={NUM_THREADS: pb.ModelParameter(string_value="auto")},
    )


def config_text() -> str:
    """Return `config.pbtxt`."""
    return HEADER + str(text_format.MessageToString(model_config()))


def parse_config(text: str) -> Any:  # noqa: ANN401  the protobuf package has no types
    """Return the `inference.ModelConfig` that a `config.pbtxt` holds.

    Raises:
        google.protobuf.text_format.ParseError: If it holds none.
    """
    return text_format.Parse(text, pb.ModelConfig())
