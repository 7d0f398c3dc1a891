"""How many threads torch uses: one for small batches.

On shared cores torch's threads wait for each other: a step of 8 rows in a small ensemble took 0.3 ms on one thread and
64 ms on two while other work was running on the machine.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Runs the block with ``count`` torch threads, and restores the number afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
