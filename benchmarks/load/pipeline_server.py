"""Serve a checkpoint as a user would without us: FastAPI around transformers' pipeline.

    python -m benchmarks.load.pipeline_server build/checkpoint --port 8080

One uvicorn worker, the pipeline called in the thread pool that FastAPI keeps for such functions.
The pool has as many threads as there are cores, the best choice on two: with 32 callers it gave 144
lines/s, one thread 103, and FastAPI's 40, whose PyTorch threads push each other off the cores, 88.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import anyio.to_thread
import uvicorn
from fastapi import FastAPI

from benchmarks.workload import lines_of, read_lines
from serve.commands import command_parser
from serve.entities import EntityJson

NAME = "FastAPI + pipeline"
HOST = "127.0.0.1"
NUM_THREADS = len(os.sched_getaffinity(0))
"""That call the pipeline at once."""
KEEP_ALIVE_S = 3600
"""Idle connections stay open while another system is measured."""


@dataclass(frozen=True)
class PipelineServerConfig:
    """Settings of the server.

    Attributes:
        checkpoint: What the pipeline runs.
        port: Where to listen, on loopback.
    """

    checkpoint: Path
    port: int


@dataclass(frozen=True, slots=True)
class Question:
    """Body of a request.

    Attributes:
        texts: The texts to tag.
    """

    texts: list[str]


def parse_args(argv: Sequence[str] | None = None) -> PipelineServerConfig:
    """Return the settings a command line asks for."""
    parser = command_parser("benchmarks.load.pipeline_server", __doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--port", type=int, required=True)
    return PipelineServerConfig(**vars(parser.parse_args(argv)))


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until a signal ends it; return the exit status."""
    config = parse_args(argv)
    uvicorn.run(
        make_app(config),
        host=HOST,
        port=config.port,
        log_level="warning",
        timeout_keep_alive=KEEP_ALIVE_S,
    )
    return 0


def make_app(config: PipelineServerConfig) -> FastAPI:
    """Return the application: POST /tag takes texts and returns the entities of each."""
    lines = read_lines(lines_of(config.checkpoint))
    from benchmarks.systems import Pipeline  # seconds of PyTorch, when there is a use for it

    pipeline = Pipeline(config.checkpoint, lines)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = NUM_THREADS
        yield

    app = FastAPI(lifespan=lifespan)

    @app.post("/tag", response_model=None)  # nothing to check: a few microseconds less
    def answer(question: Question) -> list[list[EntityJson]]:
        return [[entity.to_json() for entity in row] for row in pipeline.tag(question.texts)]

    @app.get("/facts")
    def facts() -> dict[str, Any]:
        what = f"uvicorn, one worker, {NUM_THREADS} threads; {pipeline.facts.what}"
        return asdict(replace(pipeline.facts, name=NAME, what=what))

    return app


if __name__ == "__main__":
    raise SystemExit(main())
