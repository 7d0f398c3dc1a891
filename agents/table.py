"""The algorithms by name. A new one is one file with its updates, its settings, and one entry here."""

from collections.abc import Callable
from typing import Any, NamedTuple

from agents.agent import Agent, PolicyNetworks
from agents.algorithms.ppo import make_ppo
from agents.algorithms.sac import make_sac
from agents.configs import AgentConfig, PPOConfig, SACConfig
from agents.networks.fitting import UnfitSpace
from envs.errors import InputError, unknown_name
from envs.spec import EnvSpec


class Algorithm(NamedTuple):
    """One algorithm.

    Attributes:
        config_type: the dataclass of its settings, which are also the ``config`` of a saved policy.
        make_agent: a spec and settings to an agent; raises `UnfitSpace` for spaces that it cannot serve.
    """

    config_type: type[AgentConfig]
    make_agent: Callable[[EnvSpec, Any], Agent]


ALGORITHMS: dict[str, Algorithm] = {
    "ppo": Algorithm(PPOConfig, make_ppo),
    "sac": Algorithm(SACConfig, make_sac),
}


def algorithm_named(name: str, what: str = "algorithm") -> Algorithm:
    """Returns the algorithm of that name; raises `InputError` with the known ones."""
    if name not in ALGORITHMS:
        raise unknown_name(what, name, ALGORITHMS)
    return ALGORITHMS[name]


def name_of(config: AgentConfig) -> str:
    """Returns the name of the algorithm whose settings these are."""
    return next(name for name, one in ALGORITHMS.items() if type(config) is one.config_type)


def make_agent(spec: EnvSpec, config: AgentConfig) -> Agent:
    """Returns the agent that ``config`` describes.

    Raises:
        InputError: it cannot serve these spaces; the message names the agents that can.
    """
    try:
        return ALGORITHMS[name_of(config)].make_agent(spec, config)
    except UnfitSpace as unfit:
        able = ", ".join(algorithms_for(spec)) or "none"
        raise InputError(f"{config.label} does not fit: {unfit}; agents that fit: {able}") from None


def make_networks(spec: EnvSpec, config: AgentConfig) -> PolicyNetworks:
    """Returns the networks of its policy; raises `InputError` as `make_agent` does."""
    return make_agent(spec, config).networks


def algorithms_for(spec: EnvSpec) -> list[str]:
    """Returns the names of the algorithms that can serve these spaces."""
    return [name for name, one in ALGORITHMS.items() if _fits(one, spec)]


def _fits(algorithm: Algorithm, spec: EnvSpec) -> bool:
    try:
        algorithm.make_agent(spec, algorithm.config_type())
    except UnfitSpace:
        return False
    return True
