"""Which ensemble member each row follows, and rows gathered by member so that only that one is evaluated.

Shape legend: ``B`` rows, ``M`` members, ``C`` slots of each member (as many as the fullest needs),
``F`` features.
"""

import torch
from torch import Tensor


class Dealt:
    """Rows in ``M x C`` slots, by the member that they follow."""

    def __init__(self, rows: Tensor, slot: Tensor):
        """``rows`` ``[M, C]`` says who is in each slot (row 0 in those left over), ``slot`` ``[B]`` where a row is."""
        self._rows, self._slot = rows, slot

    @property
    def member(self) -> Tensor:
        """The member that each row follows ``[B]`` int64."""
        return self._slot.div(self._rows.shape[1], rounding_mode="floor")

    def gather(self, values: Tensor) -> Tensor:
        """``[B, F] -> [M, C, F]``."""
        return values.index_select(0, self._rows.flatten()).view(*self._rows.shape, -1)

    def scatter(self, values: Tensor) -> Tensor:
        """``[M, C, F] -> [B, F]``."""
        return values.flatten(0, 1).index_select(0, self._slot)


def deal(num_rows: int, num_members: int, generator: torch.Generator, device: torch.device) -> Dealt:
    """Deals members to rows in equal shares, in a random order; each member is equally likely in each row.

    As TS1 of PETS (Chua et al. 2018, section 5.1). Which member a row gets depends on the number of rows, never on what
    they hold.
    """
    order = torch.randperm(num_rows, generator=generator, device=device)
    slots = -(-num_rows // num_members)
    rows = torch.zeros(slots * num_members, dtype=torch.int64, device=device)
    rows[:num_rows] = order
    position = torch.arange(slots * num_members, device=device).view(num_members, slots).T.flatten()
    slot = torch.empty_like(order)
    slot[order] = position[:num_rows]
    return Dealt(rows.view(slots, num_members).T.contiguous(), slot)


def by_member(member: Tensor, num_members: int) -> Dealt:
    """Gathers rows by ``member`` ``[B]``."""
    order = torch.argsort(member, stable=True)
    counts = torch.bincount(member, minlength=num_members)
    slots = int(counts.max())
    first = counts.cumsum(0) - counts
    sorted_member = member[order]
    sorted_slot = sorted_member * slots + torch.arange(len(member), device=member.device) - first[sorted_member]
    rows = torch.zeros(num_members * slots, dtype=torch.int64, device=member.device)
    rows[sorted_slot] = order
    slot = torch.empty_like(member)
    slot[order] = sorted_slot
    return Dealt(rows.view(num_members, slots), slot)
