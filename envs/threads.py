"""How many threads torch uses: one for small batches, more for big ones.

On shared cores torch's threads wait for each other: a step of 8 rows in a small ensemble took 0.3 ms on one thread and
64 ms on two while other work was running on the machine.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

WORK_OF_A_THREAD = 10_000_000
"""Multiplications in one network evaluation that are worth a thread (some 0.25 ms of matrix products)."""


def threads_for(multiplications: float) -> int:
    """Returns how many threads one evaluation with so many multiplications should use: from 1 to the cores at hand."""
    return max(1, min(_num_cores(), int(multiplications // WORK_OF_A_THREAD)))


def _num_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Runs the block with ``count`` torch threads, and restores the number afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
