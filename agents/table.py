"""The algorithms by name. A new one is one file with its updates, its settings, and one entry here."""

from collections.abc import Callable
from typing import Any, NamedTuple

from agents.agent import Agent, PolicyNetworks
from agents.algorithms.a2c import make_a2c
from agents.algorithms.behaviour_cloning import make_bc
from agents.algorithms.cql import make_cql
from agents.algorithms.dqn import make_dqn
from agents.algorithms.iql import make_iql
from agents.algorithms.ppo import make_ppo
from agents.algorithms.q_learning import make_q_learning
from agents.algorithms.reinforce import make_reinforce
from agents.algorithms.sac import make_sac
from agents.algorithms.td3 import make_td3
from agents.algorithms.td3_bc import make_td3_bc
from agents.configs import (
    A2CConfig,
    AgentConfig,
    BCConfig,
    C51Config,
    CQLConfig,
    DDPGConfig,
    DQNConfig,
    IQLConfig,
    PPOConfig,
    QLearningConfig,
    QRDQNConfig,
    RainbowConfig,
    REINFORCEConfig,
    SACConfig,
    TD3BCConfig,
    TD3Config,
)
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
    "a2c": Algorithm(A2CConfig, make_a2c),
    "ppo": Algorithm(PPOConfig, make_ppo),
    "reinforce": Algorithm(REINFORCEConfig, make_reinforce),
    "dqn": Algorithm(DQNConfig, make_dqn),
    "c51": Algorithm(C51Config, make_dqn),
    "qr-dqn": Algorithm(QRDQNConfig, make_dqn),
    "rainbow": Algorithm(RainbowConfig, make_dqn),
    "q-learning": Algorithm(QLearningConfig, make_q_learning),
    "sac": Algorithm(SACConfig, make_sac),
    "td3": Algorithm(TD3Config, make_td3),
    "ddpg": Algorithm(DDPGConfig, make_td3),
    "bc": Algorithm(BCConfig, make_bc),
    "cql": Algorithm(CQLConfig, make_cql),
    "iql": Algorithm(IQLConfig, make_iql),
    "td3-bc": Algorithm(TD3BCConfig, make_td3_bc),
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
