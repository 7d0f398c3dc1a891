"""When a synthetic environment has paid for itself: what making it cost against what each agent trained in it saves.

An agent trained in it is compared with one trained on the real environment until it is as good.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple


class Cost(NamedTuple):
    """What something took: steps on the real dynamics and CPU-seconds."""

    real_steps: float
    cpu_seconds: float


class BreakEven(NamedTuple):
    """What is compared.

    Attributes:
        price: of making the environment; None where nothing tells.
        inside: of one agent trained in it.
        direct: of one agent trained on the real environment until it was as good, or for as long as it was let.
        reached: whether it became as good; if not, it needs more than ``direct``.
    """

    price: Cost | None
    inside: Cost
    direct: Cost
    reached: bool

    def agents(self) -> tuple[int | None, int | None] | None:
        """Returns `agents_until_paid` in real steps and in CPU-seconds; None where the price is not known."""
        if self.price is None:
            return None
        steps, seconds = (agents_until_paid(*costs) for costs in zip(self.price, self.inside, self.direct, strict=True))
        return steps, seconds


def agents_until_paid(price: float, inside: float, direct: float) -> int | None:
    """Returns how many agents must be trained inside until they have saved the price; None where they save nothing."""
    saved = direct - inside
    return max(1, math.ceil(price / saved)) if saved > 0 else None


def first_reached(returns: Sequence[float], target: float) -> int | None:
    """Returns the first point of a curve that is at least ``target``, or None."""
    return next((point for point, found in enumerate(returns) if found >= target), None)


def break_even_told(found: BreakEven) -> str:
    """Returns the outcome as one sentence."""
    agents = found.agents()
    if agents is None:
        return "What making this environment cost is not recorded, so when it pays for itself cannot be told."
    steps, seconds = (_after(number, found.reached) for number in agents)
    if steps == seconds:
        return f"The environment has paid for itself {steps}, in real steps as in CPU-seconds."
    return f"The environment has paid for itself {steps} in real steps, and {seconds} in CPU-seconds."


def _after(number: int | None, reached: bool) -> str:
    if number is None:
        return "never" if reached else "not within what was measured"
    bound = "" if reached else "at most "
    return f"after {bound}{number:,} {'agent' if number == 1 else 'agents'}"
