"""Who evaluates the members of a generation: this process, or several.

A job is pure, keyed and idempotent: which members of which generation. What is sent is the state of the search and
their numbers, never a population, which every process draws for itself from the state. So a job may be done anywhere
and more than once, and the result does not depend on how many processes there are.

Shape legend: ``M`` members of a job.
"""

import multiprocessing
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np

from envs.errors import InputError


class Job(NamedTuple):
    """Members to evaluate.

    Attributes:
        agent: which of the agents is trained in them.
        members: their numbers ``[M]`` int32.
    """

    agent: int
    members: np.ndarray


EvaluateFn = Callable[[Any, Job], Any]
"""``(state of the search, job) -> outcomes``, a pytree with leaves ``[M]``; a function of its arguments alone."""


class Executor(Protocol):
    """Does jobs."""

    def run(self, state: Any, jobs: list[Job]) -> list[Any]:
        """Returns the outcomes of ``jobs`` in their order, as NumPy arrays."""
        ...

    def close(self) -> None:
        """Frees what it holds; it is not used after that."""
        ...


class InProcess:
    """Does jobs one after the other, on all devices of this process."""

    def __init__(self, evaluate: EvaluateFn):
        self._evaluate = evaluate

    def run(self, state: Any, jobs: list[Job]) -> list[Any]:
        return [jax.tree.map(np.asarray, self._evaluate(state, job)) for job in jobs]

    def close(self) -> None:
        pass


class ProcessPool:
    """Does jobs in processes of its own, which are spawned: after JAX has started its threads a fork could hang.

    Args:
        make_evaluate: called once in each process; it must be picklable, as a `functools.partial` of a function is.
        num_workers: processes, at least 1.
    """

    def __init__(self, make_evaluate: Callable[[], EvaluateFn], num_workers: int):
        self._pool = ProcessPoolExecutor(
            num_workers, multiprocessing.get_context("spawn"), _begin, (make_evaluate, os.getpid())
        )

    def run(self, state: Any, jobs: list[Job]) -> list[Any]:
        state = jax.tree.map(np.asarray, state)
        try:
            return list(self._pool.map(_do, [state] * len(jobs), jobs))
        except BrokenProcessPool:
            raise InputError("a process that evaluated candidates was killed or ran out of memory; resume to go on, "
                             "with fewer workers if it happens again") from None  # fmt: skip

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)


_evaluate_here: EvaluateFn | None = None


def _begin(make_evaluate: Callable[[], EvaluateFn], parent: int) -> None:
    global _evaluate_here
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    _evaluate_here = make_evaluate()


def _do(state: Any, job: Job) -> Any:
    assert _evaluate_here is not None
    return jax.tree.map(np.asarray, _evaluate_here(state, job))


def _end_with(parent: int) -> None:
    """Ends this process when its parent was killed: it would wait for jobs for ever."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
