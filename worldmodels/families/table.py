"""The families of world models. A new family is one file that ends in a `Family`, and one entry here."""

from typing import Any

from envs.errors import InputError, unknown_name
from worldmodels.families.categorical_learning import CATEGORICAL
from worldmodels.families.ensemble_learning import ENSEMBLE
from worldmodels.families.factored_learning import FACTORED
from worldmodels.families.family import Family
from worldmodels.families.mlp_learning import MLP
from worldmodels.families.recurrent_learning import RECURRENT

FAMILIES: dict[str, Family] = {
    "ensemble": ENSEMBLE,
    "mlp": MLP,
    "factored": FACTORED,
    "categorical": CATEGORICAL,
    "recurrent": RECURRENT,
}


def family_named(name: str, where: str) -> Family:
    """Returns the family of that name; raises `InputError` with the nearest names."""
    if name not in FAMILIES:
        raise unknown_name(f"family of world model {where}", name, FAMILIES)
    return FAMILIES[name]


def family_of(config: Any) -> Family:
    """Returns the family that a configuration belongs to; raises `InputError` where it is none of a family's."""
    return FAMILIES[name_of(config)]


def name_of(config: Any) -> str:
    """Returns the name of the family that a configuration belongs to; raises `InputError` as `family_of` does."""
    for name, family in FAMILIES.items():
        if type(config) is family.config_type:
            return name
    known = ", ".join(family.config_type.__name__ for family in FAMILIES.values())
    raise InputError(f"expected the configuration of a world model ({known}), got {type(config).__name__}")
