"""A synthetic MDP as a `WorldModel`, so that planners search it: the same networks, evaluated in torch.

`synthetic_envs.mdp.SyntheticMDP.transition` is what this must agree with; its departures hold here too. The step cap
is left out: it truncates, it does not terminate.

Shape legend: ``B`` rows, ``O`` observation size, ``A`` the action's shape.
"""

from pathlib import Path

import torch
from gymnasium import spaces
from torch import Tensor
from torch.nn import functional

from envs.bridge import to_torch
from envs.errors import InputError
from envs.world_model import Imagined, ModelState
from synthetic_envs.configs import Activation
from synthetic_envs.mdp import END_THRESHOLD, MDPParams, SyntheticMDP
from synthetic_envs.saving import load_synthetic

Layer = dict[str, Tensor]


class SyntheticModel:
    """A `WorldModel` whose state is the observation; on the CPU, where nothing in a step is random.

    Args:
        mdp: the synthetic MDP.
        params: its parameters, whose memory is shared.
    """

    def __init__(self, mdp: SyntheticMDP, params: MDPParams):
        self.spec = mdp.spec
        self.device = torch.device("cpu")
        self._config = mdp.config
        self._networks: dict[str, dict[str, Layer]] = to_torch(params)
        space = mdp.spec.observation_space
        assert isinstance(space, spaces.Box)
        self._low, self._high = torch.tensor(space.low), torch.tensor(space.high)

    def encode(
        self, observation: Tensor, previous: ModelState | None = None, action: Tensor | None = None
    ) -> ModelState:
        """Returns the ``observation`` ``[B, O]`` as the state; the other two are not needed."""
        del previous, action
        return {"observation": observation.float()}

    @torch.no_grad()
    def step(self, state: ModelState, action: Tensor, generator: torch.Generator | None = None) -> Imagined:
        """Imagines one step; ``generator`` is not used, and the model knows of no doubt."""
        del generator
        before = state["observation"]
        inputs = torch.cat([before, self._action_vector(action)], dim=-1)
        told = {name: apply_network(self._networks[name], inputs, self._config.activation)
                for name in ("next", "reward", "end")}  # fmt: skip
        after = before + told["next"] if self._config.predicts == "change" else told["next"]
        reward = told["reward"][:, 0]
        sound = after.isfinite().all(-1) & reward.isfinite()
        after = torch.where(sound[:, None], after.clamp(self._low, self._high), before)
        goes_on = sound & ~(told["end"][:, 0] > END_THRESHOLD)
        nothing = torch.zeros(len(before))
        return Imagined(
            {"observation": after}, after, torch.where(sound, reward, 0.0), goes_on.float(), nothing, nothing
        )

    def _action_vector(self, action: Tensor) -> Tensor:
        space = self.spec.action_space
        if isinstance(space, spaces.Discrete):
            return functional.one_hot(action.long() - int(space.start), int(space.n)).float()
        return action.float()


def load_synthetic_model(path: Path | str) -> SyntheticModel:
    """Reads a synthetic MDP to plan on; raises `InputError` for other synthetic environments."""
    env, params = load_synthetic(path)
    if not isinstance(env, SyntheticMDP):
        raise InputError(f"expected a world model or a synthetic MDP to plan on at {path}, found a {env.family}")
    return SyntheticModel(env, params)


def apply_network(layers: dict[str, Layer], inputs: Tensor, activation: Activation) -> Tensor:
    """Returns outputs ``[B, O]`` for ``inputs`` ``[B, I]``, as `synthetic_envs.networks.apply_network` does in JAX."""
    last = len(layers) - 1
    for i in range(len(layers)):
        layer = layers[str(i)]
        inputs = torch.addmm(layer["b"], inputs, layer["w"])
        inputs = inputs if i == last else _activated(inputs, layer, activation)
    return inputs


def _activated(inputs: Tensor, layer: Layer, activation: Activation) -> Tensor:
    match activation:
        case "leaky_relu":
            return functional.leaky_relu(inputs)
        case "prelu":
            return functional.prelu(inputs, layer["slope"])
        case "relu":
            return functional.relu(inputs)
        case "silu":
            return functional.silu(inputs)
        case "tanh":
            return torch.tanh(inputs)
