"""A small network to search on, as in MuZero: latent states, their dynamics, rewards, ends, values and a policy.

Schrittwieser et al. 2020 (arXiv 1911.08265), as perceptrons. Here it is only a shape that others fill with weights: it
has the face of a `WorldModel` and an evaluation for `planners.mcts`. The last layer of its dynamics is linear, so that
`planners.fused_network` can fold the heads' first layers into it.

Shape legend: ``B`` rows, ``D`` latent, ``A`` number of actions, ``O`` the observation's shape.
"""

from itertools import pairwise
from typing import Literal

import torch
from gymnasium import spaces
from torch import Tensor, nn

from envs.errors import InputError, require
from envs.spec import EnvSpec
from envs.world_model import Imagined, ModelState
from planners.action_spaces import num_actions

ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "silu": nn.SiLU}


class LatentNetwork(nn.Module):
    """Perceptrons for the latent state, its dynamics and what a search asks of it; a `WorldModel` of Discrete actions.

    Args:
        spec: of the environment; its observations must be a Box, its actions Discrete.
        latent_size: ``D``, at least 1.
        hidden_sizes: widths of the hidden layers of encoder and dynamics, at least one.
        head_sizes: widths of the hidden layers of each head; none for linear heads.
        activation: between the layers.
        ends: also learn where episodes end; without it none ever does.

    Raises:
        InputError: spaces or sizes that do not fit.
    """

    def __init__(
        self,
        spec: EnvSpec,
        latent_size: int = 64,
        hidden_sizes: tuple[int, ...] = (64,),
        head_sizes: tuple[int, ...] = (),
        activation: Literal["relu", "tanh", "silu"] = "relu",
        ends: bool = False,
    ):
        super().__init__()
        if not isinstance(spec.observation_space, spaces.Box) or not isinstance(spec.action_space, spaces.Discrete):
            raise InputError(f"expected Box observations and Discrete actions for a latent network, {spec.env_id} has "
                             f"{spec.observation_space} and {spec.action_space}")  # fmt: skip
        require(latent_size >= 1, "latent_size", "of at least 1", latent_size)
        require(len(hidden_sizes) >= 1 and min(hidden_sizes) >= 1, "hidden_sizes", "of at least 1 each", hidden_sizes)
        require(min(head_sizes, default=1) >= 1, "head_sizes", "of at least 1 each", head_sizes)
        require(activation in ACTIVATIONS, "activation", f"to be one of {sorted(ACTIVATIONS)}", activation)
        self.spec, self.latent_size, self.activation = spec, latent_size, activation
        self.num_actions, self._start = num_actions(spec)
        observed = int(torch.tensor(spec.observation_space.shape).prod())
        self.encoder = _perceptron((observed, *hidden_sizes, latent_size), activation)
        self.dynamics = _perceptron((latent_size + self.num_actions, *hidden_sizes, latent_size), activation)
        self.reward_head = _perceptron((latent_size, *head_sizes, 1), activation)
        self.end_head = _perceptron((latent_size, *head_sizes, 1), activation) if ends else None
        self.value_head = _perceptron((latent_size, *head_sizes, 1), activation)
        self.policy_head = _perceptron((latent_size, *head_sizes, self.num_actions), activation)

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    def encode(
        self, observation: Tensor, previous: ModelState | None = None, action: Tensor | None = None
    ) -> ModelState:
        """Returns the latent state ``[B, D]`` of observations ``[B, *O]``."""
        del previous, action
        latent: Tensor = self.encoder(observation.float().flatten(1))
        return {"latent": latent}

    def step(self, state: ModelState, action: Tensor, generator: torch.Generator | None = None) -> Imagined:
        """Imagines one step; there is no chance in it. The observation is the latent state: it imagines no other."""
        del generator
        taken = nn.functional.one_hot(action - self._start, self.num_actions).to(state["latent"].dtype)
        latent = self.dynamics(torch.cat([state["latent"], taken], dim=1))
        reward = self.reward_head(latent).squeeze(1)
        goes_on = torch.ones_like(reward)
        if self.end_head is not None:
            goes_on = torch.sigmoid(self.end_head(latent).squeeze(1))
        return Imagined({"latent": latent}, latent, reward, goes_on, torch.zeros_like(reward), torch.zeros_like(reward))

    def evaluate(self, state: ModelState) -> tuple[Tensor, Tensor]:
        """Returns the logits ``[B, A]`` of the policy, and the values ``[B]``."""
        return self.policy_head(state["latent"]), self.value_head(state["latent"]).squeeze(1)


def _perceptron(sizes: tuple[int, ...], activation: str) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in pairwise(sizes):
        layers += [nn.Linear(before, after), ACTIVATIONS[activation]()]
    return nn.Sequential(*layers[:-1])
