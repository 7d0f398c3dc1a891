"""What all synthetic environments are, and how one is made from a spec and its settings."""

from typing import Protocol

import jax

from envs.functional import FunctionalEnv, Params
from envs.functional_copies import functional_copy
from envs.spec import EnvSpec
from synthetic_envs.bandit import Bandit
from synthetic_envs.configs import BanditConfig, MDPConfig, RewardNetworkConfig, SyntheticConfig, TargetBanditConfig
from synthetic_envs.mdp import SyntheticMDP
from synthetic_envs.reward_network import RewardNetwork
from synthetic_envs.target_bandit import TargetBandit


class SyntheticEnv(FunctionalEnv, Protocol):
    """A `FunctionalEnv` whose parameters, the weights of its networks, are evolved.

    Attributes:
        family: its name in an artifact.
        config: settings from which, with its spec, `make_synthetic` makes an equal one.
    """

    @property
    def family(self) -> str: ...

    @property
    def config(self) -> SyntheticConfig: ...

    def init_params(self, key: jax.Array) -> Params:
        """Returns random parameters, a nested dict of arrays."""
        ...


def make_synthetic(spec: EnvSpec, config: SyntheticConfig) -> SyntheticEnv:
    """Returns the synthetic environment of the settings' class.

    Args:
        spec: of the real environment.
        config: its class says which kind.

    Raises:
        InputError: spaces that it cannot serve, or no functional copy of the real environment where one is needed.
    """
    match config:
        case TargetBanditConfig():
            return TargetBandit(spec, config)
        case BanditConfig():
            return Bandit(spec, config)
        case MDPConfig():
            return SyntheticMDP(spec, config, functional_copy(spec.env_id) if config.starts == "real" else None)
        case RewardNetworkConfig():
            return RewardNetwork(functional_copy(spec.env_id), config)
