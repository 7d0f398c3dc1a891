"""The algorithms by name. A new one is one file with its networks and updates, and one entry here."""

from collections.abc import Callable
from typing import Any, NamedTuple

from agents.actor_critic import make_actor_critic
from agents.agent import Agent, PolicyNetworks
from agents.configs import AgentConfig, PPOConfig, SACConfig
from agents.ppo import make_ppo
from agents.sac import make_sac
from agents.sac_networks import make_sac_networks
from envs.errors import unknown_name
from envs.spec import EnvSpec


class Algorithm(NamedTuple):
    """One algorithm.

    Attributes:
        config_type: the dataclass of its settings, which are also the ``config`` of a saved policy.
        make_agent: a spec and settings to an agent; raises `InputError` for spaces that it cannot serve.
        make_networks: the same to its policy's networks alone.
    """

    config_type: type
    make_agent: Callable[[EnvSpec, Any], Agent]
    make_networks: Callable[[EnvSpec, Any], PolicyNetworks]


ALGORITHMS: dict[str, Algorithm] = {
    "ppo": Algorithm(PPOConfig, make_ppo, make_actor_critic),
    "sac": Algorithm(SACConfig, make_sac, make_sac_networks),
}


def algorithm_named(name: str, what: str = "algorithm") -> Algorithm:
    """Returns the algorithm of that name; raises `InputError` with the known ones."""
    if name not in ALGORITHMS:
        raise unknown_name(what, name, ALGORITHMS)
    return ALGORITHMS[name]


def name_of(config: AgentConfig) -> str:
    """Returns the name of the algorithm whose settings these are."""
    return next(name for name, one in ALGORITHMS.items() if isinstance(config, one.config_type))


def make_agent(spec: EnvSpec, config: AgentConfig) -> Agent:
    """Returns the agent that ``config`` describes; raises `InputError` for spaces that it cannot serve."""
    return ALGORITHMS[name_of(config)].make_agent(spec, config)


def make_networks(spec: EnvSpec, config: AgentConfig) -> PolicyNetworks:
    """Returns the networks of its policy; raises `InputError` for spaces that it cannot serve."""
    return ALGORITHMS[name_of(config)].make_networks(spec, config)
