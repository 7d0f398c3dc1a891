"""What making a synthetic environment cost, as far as its folder tells."""

from pathlib import Path
from typing import Any, NamedTuple

from envs.files import read_json
from experiments.break_even import Cost
from synthetic_envs.zoo import CARD


class MakingCost(NamedTuple):
    """What making it cost.

    Attributes:
        cost: None where nothing tells.
        how: what it counts, a sentence.
    """

    cost: Cost | None
    how: str


def making_cost(folder: Path, provenance: dict[str, Any]) -> MakingCost:
    """Returns the cost by the zoo's card in ``folder``, or by the provenance of an evolution or of a distillation."""
    if (folder / CARD).is_file():
        card = read_json(folder / CARD)
        return MakingCost(Cost(card["real_steps"], card["cpu_seconds"]), "Making it includes training its teacher.")
    if "history" in provenance:
        history = provenance["history"]
        how = "Making it is the whole evolution: every candidate's real episodes, and the CPU-seconds of all processes."
        return MakingCost(Cost(history["real_steps"], history["cpu_seconds"]), how)
    if "distillation" in provenance:
        told = provenance["distillation"]
        how = "Making it is the distillation alone; what its teacher had cost is not recorded and comes on top."
        return MakingCost(Cost(told["real_steps"], told["cpu_seconds"]), how)
    return MakingCost(None, "Its folder does not tell what making it cost.")
