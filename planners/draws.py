"""Random numbers of planners: from one generator for all rows, or from a stream of its own for each row.

With streams a row's numbers do not depend on the rows beside it. What a *model* draws is for all rows at once, so it
comes from one generator in either case.

Shape legend: ``B`` rows, ``S`` the rest of a shape.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor


class RowStreams:
    """One generator a row and one for what all rows share, each seeded by numbers of its own."""

    def __init__(self, keys: Sequence[Sequence[int]], device: torch.device):
        """``keys`` are whole numbers, at least 0, for each row, as its seed and step; the first also seeds `shared`."""
        self.rows = [_generator([*key, 0], device) for key in keys]
        self.shared = _generator([*keys[0], 1], device)


Randomness = torch.Generator | RowStreams | None
"""Where draws come from; None for torch's global generator."""


def shared_generator(randomness: Randomness) -> torch.Generator | None:
    """Returns the generator for what is drawn for all rows at once."""
    return randomness.shared if isinstance(randomness, RowStreams) else randomness


def normal(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device, randomness: Randomness) -> Tensor:
    """Returns standard normal numbers ``[B, *S]``."""
    return _of_each_row(
        shape, randomness, lambda size, source: torch.randn(size, dtype=dtype, device=device, generator=source)
    )


def uniform(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device, randomness: Randomness) -> Tensor:
    """Returns numbers ``[B, *S]`` in [0, 1)."""
    return _of_each_row(
        shape, randomness, lambda size, source: torch.rand(size, dtype=dtype, device=device, generator=source)
    )


def integers(low: int, high: int, shape: tuple[int, ...], device: torch.device, randomness: Randomness) -> Tensor:
    """Returns whole numbers ``[B, *S]`` from ``low`` to below ``high``."""
    return _of_each_row(
        shape, randomness, lambda size, source: torch.randint(low, high, size, device=device, generator=source)
    )


def _of_each_row(
    shape: tuple[int, ...],
    randomness: Randomness,
    draw: Callable[[tuple[int, ...], torch.Generator | None], Tensor],
) -> Tensor:
    if not isinstance(randomness, RowStreams):
        return draw(shape, randomness)
    if shape[0] != len(randomness.rows):
        raise ValueError(f"expected one stream a row, got {len(randomness.rows)} for {shape[0]} rows")
    if shape[0] == 1:
        return draw(shape, randomness.rows[0])
    return torch.stack([draw(shape[1:], source) for source in randomness.rows])


def _generator(key: Sequence[int], device: torch.device) -> torch.Generator:
    words = np.random.SeedSequence(list(key)).generate_state(2)
    return torch.Generator(device).manual_seed(int(words[0]) << 32 | int(words[1]))
