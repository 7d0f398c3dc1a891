"""A contextual bandit whose second network tells the action to take; pay falls with the squared distance to it.

A free reward network can be evolved to suit the noise of one algorithm's actions and mislead another's. Here whatever
is evolved is a policy to learn: the best action is paid 0 in every context, and pay falls from it alike on all sides,
so that what one algorithm learns well others do, too. For Box actions.

Shape legend: ``O`` observation size, ``A`` action size.
"""

import jax
from gymnasium import spaces
from jax.nn.initializers import lecun_normal

from envs.errors import InputError
from envs.mlp import MLPParams, apply_mlp, init_mlp
from envs.spec import EnvSpec
from synthetic_envs.bandit import Bandit, BanditParams
from synthetic_envs.configs import TargetBanditConfig
from synthetic_envs.lessons import pay


class TargetBandit(Bandit):
    """Pays ``-mean(((action - target(context)) / half range) ** 2)``; the network called ``reward`` is the target.

    Targets may lie outside the action's bounds: then the bound is the best action.

    Raises:
        InputError: an observation space other than a vector Box, or an action space other than a bounded vector Box.
    """

    family = "target_bandit"

    def __init__(self, spec: EnvSpec, config: TargetBanditConfig):
        super().__init__(spec, config)
        space = spec.action_space
        if not (isinstance(space, spaces.Box) and space.is_bounded()):
            raise InputError(
                f"expected a bounded vector Box action space for a target bandit, {spec.env_id} has {space}"
            )

    def init_params(self, key: jax.Array) -> BanditParams:
        """Returns random weights: ``state`` and ``reward`` networks."""
        _, target_key = jax.random.split(key)
        sizes = (self._observation_size, *self.config.reward_hidden, self._action_size)
        return {"state": super().init_params(key)["state"], "reward": init_mlp(target_key, sizes, lecun_normal())}

    def reward(self, params: BanditParams, context: jax.Array, action: jax.Array) -> jax.Array:
        """Returns rewards ``[...]``, at most 0, of actions ``[..., A]`` in contexts ``[..., O]``."""
        return pay(self.spec.action_space, action, self.targets(params["reward"], context))

    def targets(self, network: MLPParams, context: jax.Array) -> jax.Array:
        """Returns the targets ``[..., A]`` of contexts ``[..., O]`` by the network ``reward`` of the parameters."""
        return apply_mlp(network, context, "relu")
