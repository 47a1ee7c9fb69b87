"""Owns giving work to a pool of threads, whether or not the pool still takes any.

Python shuts all pools when the main thread has ended, and only then waits for the threads that go
on: what they ask for meanwhile is to be done all the same.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

Params = ParamSpec("Params")
Result = TypeVar("Result")


def submitted(
    pool: ThreadPoolExecutor,
    work: Callable[Params, Result],
    *args: Params.args,
    **kwargs: Params.kwargs,
) -> Future[Result]:
    """Return what comes of a call in a pool; the call is made here where the pool refuses it."""
    with contextlib.suppress(RuntimeError):
        return pool.submit(work, *args, **kwargs)
    done: Future[Result] = Future()
    try:
        done.set_result(work(*args, **kwargs))
    except Exception as error:  # for whoever asks for the result, as in the pool
        done.set_exception(error)
    return done
