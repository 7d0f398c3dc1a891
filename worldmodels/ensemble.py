"""A trained probabilistic ensemble as a world model: fast inference on folded weights.

What is learned, and after whom, is told in `worldmodels.ensemble_network`.

Shape legend: ``M`` members in use (the elites), ``B`` rows, ``D`` observation dimensions, ``Y = D + 1`` predicted
numbers (the change of the observation, then the reward), ``A`` action features.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from envs.errors import InputError
from envs.spec import EnvSpec
from envs.world_model import Imagined, ModelState
from worldmodels.configs import EnsembleConfig, Propagation, require_propagation
from worldmodels.ensemble_network import EnsembleNetwork, EnsembleNormalisers, soft_clamp
from worldmodels.features import ObservationBounds, available_device, make_action_features, vector_space
from worldmodels.networks import FoldedMLP
from worldmodels.normaliser import Normaliser, join_normalisers
from worldmodels.starts import Starts

UNASSIGNED = -1
"""Member of a row of tsinf that has none yet: its first step with a generator draws one."""


@dataclass(frozen=True)
class EnsembleParts:
    """All that an artifact of an ensemble holds; tensors on the CPU.

    Attributes:
        spec: the environment it models.
        config: its architecture and how its members are combined.
        network: its weights.
        normalisers: fitted on the training split.
        starts: where imagined episodes can start.
        uncertainty_levels: quantiles ``[Q]`` of the uncertainty on training transitions, at levels evenly spaced
            from 0 to 1.
        provenance: where it came from, as JSON.
    """

    spec: EnvSpec
    config: EnsembleConfig
    network: EnsembleNetwork
    normalisers: EnsembleNormalisers
    starts: Starts
    uncertainty_levels: Tensor
    provenance: dict[str, Any] = field(default_factory=dict)


class Ensemble:
    """A trained ensemble, ready to imagine and to be saved (`worldmodels.saved_model.SavedWorldModel`).

    How members are combined (``propagation``):

    - ``mean``: the mean of the members' means; with a generator, plus noise of the members' mean variance;
    - ``ts1``: each row follows a member drawn for it at every step, with that member's noise;
    - ``tsinf``: each row follows one member, drawn at its first step and kept in the state.

    Without a generator all give the members' mean and no noise (a tsinf row that has a member keeps it).

    The uncertainty is epistemic: the standard deviation of the members' means in units of the training targets'
    standard deviation, averaged over the ``Y`` predicted numbers.
    """

    family: ClassVar[str] = "ensemble"

    def __init__(self, parts: EnsembleParts, propagation: Propagation | None = None, device: str = "cpu"):
        """``propagation`` None is the configured one. The network's weights are read once, here.

        Raises:
            InputError: an unknown propagation, or a device that is not there.
        """
        self.parts = parts
        self.spec = parts.spec
        self.starts = parts.starts
        self.provenance = parts.provenance
        self.device = available_device(device)
        self.propagation = propagation or parts.config.propagation
        require_propagation(self.propagation)
        self._ends_by_place = parts.config.termination_inputs == "next"
        self._num_dims = vector_space(self.spec).shape[0]
        self._features = make_action_features(self.spec.action_space, self.device)
        self._bounds = ObservationBounds(vector_space(self.spec), self.device)
        self._fold()

    def _fold(self) -> None:
        """Builds the inference path: the elites' weights with the normalisers multiplied into them."""
        network, normalisers, device = self.parts.network, self.parts.normalisers, self.device
        target, elites, outputs = normalisers.target, network.elites, self._num_dims + 1
        before = join_normalisers(normalisers.observation, normalisers.action)
        self._dynamics = FoldedMLP(network.dynamics.mlp, elites, before, device)
        self._mean = self._dynamics.head(slice(0, outputs), target)
        self._log_variance = self._dynamics.head(slice(outputs, 2 * outputs))
        bounds = (network.dynamics.min_log_variance, network.dynamics.max_log_variance)
        self._variance_bounds = tuple(bound.detach()[elites].to(device) for bound in bounds)
        self._scale = target.std.to(device)
        self._inverse_scale = (target.inverse_std / outputs).to(device)
        after = normalisers.observation
        if not self._ends_by_place:
            change = Normaliser(target.mean[:-1], target.std[:-1])
            after = join_normalisers(normalisers.observation, change, normalisers.action)
        self._ending = FoldedMLP(network.termination, elites, after, device)
        self._ending_logit = self._ending.head(slice(0, 1))
        self._ending_shift = network.termination_weight.log().to(device)

    @torch.inference_mode()
    def encode(
        self,
        observation: Tensor,
        previous: ModelState | None = None,
        action: Tensor | None = None,  # noqa: ARG002, part of the contract
    ) -> ModelState:
        """Returns the state at ``observation`` ``[B, D]``; of ``previous`` only tsinf's member is used."""
        if observation.dim() != 2 or observation.shape[1] != self._num_dims:
            raise InputError(f"expected observations of shape [B, {self._num_dims}], got {list(observation.shape)}")
        state = {"observation": observation.to(self.device, torch.float32, copy=True)}
        if self.propagation == "tsinf":
            rows = len(observation)
            fresh = torch.full((rows,), UNASSIGNED, device=self.device)
            state["member"] = fresh if previous is None else previous["member"].clone()
        return state

    @torch.inference_mode()
    def step(self, state: ModelState, action: Tensor, generator: torch.Generator | None = None) -> Imagined:
        """Imagines one step of ``B`` rows (see `envs.world_model.WorldModel.step`). A row depends on no other row."""
        before, features = state["observation"], self._features(action)
        hidden = self._dynamics.hidden(torch.cat((before, features), dim=1))
        means = self._mean(hidden)
        mean = means.mean(0)
        uncertainty = (means - mean).square_().mean(0).sqrt_() @ self._inverse_scale
        member = self._choose(state, generator)
        outcome = mean if member is None else _of_member(means, member, mean)
        if generator is not None:
            outcome = outcome + self._noise(hidden, member, generator)
        change, reward = outcome[:, :-1], outcome[:, -1]
        observation = self._bounds.apply(before + change)
        after = observation.to(torch.float32)
        following = {"observation": after}
        if "member" in state:
            following["member"] = state["member"] if member is None else member
        return Imagined(following, observation, reward, self._continuation(before, after, features), uncertainty)

    def _choose(self, state: ModelState, generator: torch.Generator | None) -> Tensor | None:
        """Returns the member that each row follows ``[B]`` (`UNASSIGNED`: the mean), or None for the mean in all."""
        if self.propagation == "mean":
            return None
        held = state["member"] if self.propagation == "tsinf" else None
        if generator is None:
            return held
        rows, members = len(state["observation"]), self._dynamics.num_members
        drawn = torch.randint(members, (rows,), generator=generator, device=self.device)
        return drawn if held is None else torch.where(held == UNASSIGNED, drawn, held)

    def _noise(self, hidden: Tensor, member: Tensor | None, generator: torch.Generator) -> Tensor:
        """Draws ``[B, Y]``, for every row the same amount of random numbers."""
        log_variances = soft_clamp(self._log_variance(hidden), *self._variance_bounds)
        if member is None:
            std = log_variances.exp_().mean(0).sqrt_()
        else:
            std = _of_member(log_variances, member, log_variances[0]).mul_(0.5).exp_()
        draws = torch.randn(std.shape, generator=generator, device=self.device)
        return draws.mul_(std).mul_(self._scale)

    def _continuation(self, before: Tensor, after: Tensor, features: Tensor) -> Tensor:
        inputs = after if self._ends_by_place else torch.cat((after, after - before, features), dim=1)
        hidden = self._ending.hidden(inputs)
        logits = self._ending_logit(hidden).squeeze(-1)
        return torch.sigmoid_(self._ending_shift - logits).mean(0)

    def uncertainty_at(self, quantile: float) -> float:
        """Returns the uncertainty that a share ``quantile``, in [0, 1], of the training transitions stays below."""
        if not 0 <= quantile <= 1:
            raise InputError(f"expected an uncertainty quantile from 0 to 1, got {quantile}")
        levels = self.parts.uncertainty_levels
        return float(levels[round(quantile * (len(levels) - 1))])


def _of_member(values: Tensor, member: Tensor, otherwise: Tensor) -> Tensor:
    """Picks each row's member from ``[M, B, Y]``, and ``otherwise`` ``[B, Y]`` where it is `UNASSIGNED`."""
    rows = torch.arange(values.shape[1], device=values.device)
    return torch.where((member == UNASSIGNED)[:, None], otherwise, values[member.clamp(min=0), rows])
