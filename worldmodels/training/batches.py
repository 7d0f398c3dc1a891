"""Batches that are a function of the seed and the step alone, so that a training can be taken up at any step.

Shape legend: ``N`` rows in all, ``M`` members, ``B`` rows of a batch.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor

from worldmodels.configs import FitConfig

_VALIDATION_ROWS = 8192

BatchT = TypeVar("BatchT", bound=tuple)
"""A `NamedTuple` of tensors."""


class MemberBatches(Generic[BatchT]):
    """Batches ``[M, B, ...]`` of training rows, each member in its own order.

    Batch ``k`` depends on the seed and k alone; ``next_step`` is the batch that comes next.
    """

    def __init__(self, rows: BatchT, num_members: int, config: FitConfig):
        """``rows`` is a named tuple of tensors ``[N, ...]``."""
        self.next_step = 0
        self._rows, self._num_members, self._config = rows, num_members, config
        self._num_rows = len(rows[0])
        self._size = min(config.batch_size, self._num_rows)
        self._order: tuple[int, Tensor] | None = None

    def __len__(self) -> int:
        """Batches from one look at the validation episodes to the next."""
        return self._config.updates_per_look

    def __iter__(self) -> Iterator[BatchT]:
        for _ in range(len(self)):
            indices = self._indices(self.next_step)
            self.next_step += 1
            yield _like(self._rows, [column[indices] for column in self._rows])

    def _indices(self, step: int) -> Tensor:
        """Returns ``[M, B]``: part of a pass over the rows, whose remainder (less than a batch) is left out."""
        epoch, part = divmod(step, self._num_rows // self._size)
        if self._order is None or self._order[0] != epoch:
            self._order = (epoch, torch.from_numpy(self._orders(epoch)))
        return self._order[1][:, part * self._size : (part + 1) * self._size]

    def _orders(self, epoch: int) -> np.ndarray:
        shuffles = np.random.default_rng([self._config.seed, 1, epoch])
        rows = np.tile(np.arange(self._num_rows), (self._num_members, 1))
        if self._config.bootstrap:
            rows = np.random.default_rng([self._config.seed, 2]).integers(self._num_rows, size=rows.shape)
        return shuffles.permuted(rows, axis=1)


class ValidationBatches(Generic[BatchT]):
    """Validation rows as batches ``[1, B, ...]``: every member is measured on the same ones, in order."""

    def __init__(self, rows: BatchT):
        parts = zip(*(column.split(_VALIDATION_ROWS) for column in rows), strict=True)
        self._batches = [_like(rows, [column[None] for column in part]) for part in parts]

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[BatchT]:
        return iter(self._batches)


class JoinedBatches(Generic[BatchT]):
    """Batches of several sets of rows beside each other: a gradient step reads one of each, by name."""

    def __init__(self, sets: Mapping[str, MemberBatches[BatchT]]):
        self._sets = sets

    @property
    def next_step(self) -> int:
        return next(iter(self._sets.values())).next_step

    @next_step.setter
    def next_step(self, step: int) -> None:
        for batches in self._sets.values():
            batches.next_step = step

    def __len__(self) -> int:
        return len(next(iter(self._sets.values())))

    def __iter__(self) -> Iterator[dict[str, BatchT]]:
        for batches in zip(*self._sets.values(), strict=True):
            yield dict(zip(self._sets, batches, strict=True))


class WholeBatches(Generic[BatchT]):
    """The validation rows of several sets as one batch: sets of different sizes cannot be cut alike."""

    def __init__(self, sets: Mapping[str, BatchT]):
        """``sets`` are named tuples of tensors ``[N, ...]`` by name."""
        self._sets = {name: _like(rows, [column[None] for column in rows]) for name, rows in sets.items()}

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[dict[str, BatchT]]:
        yield self._sets


def _like(rows: Any, columns: list[Tensor]) -> Any:
    return type(rows)(*columns)
