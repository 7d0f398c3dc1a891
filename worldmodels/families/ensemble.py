"""A probabilistic ensemble of perceptrons: fast inference on folded weights, and how it goes into an artifact.

PETS (Chua et al. 2018, https://arxiv.org/abs/1805.12114) and MBPO (Janner et al. 2019,
https://arxiv.org/abs/1906.08253): every member predicts a Gaussian over the change of the observation and the reward.
Departures: termination is learned, by a second small ensemble that sees where the step led, since in most
environments termination is a function of that place; best weights are kept per member; predicted distributions are
widened by what they were too narrow on validation data.

Shape legend: ``M`` members in use, ``B`` rows, ``D`` observation dimensions, ``Y = D + 1`` predicted numbers (the
change of the observation, then the reward), ``A`` action features.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from envs.world_model import Imagination, Imagined, ModelState, imagine_by_steps
from worldmodels.configs import EnsembleConfig, require_propagation
from worldmodels.dealing import Dealt, by_member, deal
from worldmodels.families.ensemble_network import EnsembleNetwork
from worldmodels.features import (
    ObservationBounds,
    available_device,
    make_action_features,
    require_vectors,
    vector_space,
)
from worldmodels.inference import inference_unless_differentiated, is_differentiated
from worldmodels.judging import FoldedTermination
from worldmodels.networks import FoldedMLP, soft_clamp, weights_from, weights_to_tensors
from worldmodels.normaliser import (
    Normalisers,
    identity_normaliser,
    join_normalisers,
    normalisers_from,
)
from worldmodels.prediction import Mixture
from worldmodels.saved_model import LoadOptions, Trained
from worldmodels.sequences import FoldedSequences, FoldedSpread

UNASSIGNED = -1
"""Member of a row of tsinf that has none yet: its first step with a generator draws one."""


@dataclass(frozen=True)
class EnsembleParts:
    """What an ensemble is made of; tensors on the CPU.

    Attributes:
        config: its architecture and how its members are combined.
        network: its weights.
        normalisers: fitted on the training split.
    """

    config: EnsembleConfig
    network: EnsembleNetwork
    normalisers: Normalisers


class Ensemble:
    """A trained ensemble, ready to imagine and to be saved (`worldmodels.saved_model.SavedWorldModel`).

    How members are combined (``propagation``):

    - ``mean``: the mean of the elites' means; with a generator, plus noise of the elites' mean variance;
    - ``ts1``: each row follows a member dealt to it at every step, with that member's noise;
    - ``tsinf``: each row follows one member, drawn at its first step and kept in the state;
    - ``elite``: like ts1, but drawn among the elites.

    Without a generator all give the mean and no noise. A row that has a member in its state, of tsinf or by `follow`,
    keeps to it, with and without a generator.

    With ``LoadOptions.epistemic`` off, only the member that a row follows is evaluated, where it follows one.

    The epistemic uncertainty is the standard deviation of the members' means, the aleatoric one the root of their mean
    variance, both in units of the training targets' standard deviation and averaged over the ``Y`` predicted numbers.
    """

    family: ClassVar[str] = "ensemble"
    remembers: ClassVar[bool] = False

    def __init__(self, trained: Trained, parts: EnsembleParts, options: LoadOptions | None = None):
        """The network's weights are read once, here.

        Raises:
            InputError: an unknown propagation, or a device that is not there.
        """
        options = options or LoadOptions()
        self.trained, self.parts, self.options = trained, parts, options
        self.spec = trained.spec
        self.device = available_device(options.device)
        self.propagation = options.propagation or parts.config.propagation
        require_propagation(self.propagation)
        self._num_dims = vector_space(self.spec).shape[0]
        self._features = make_action_features(self.spec.action_space, self.device)
        self._bounds = ObservationBounds(vector_space(self.spec), self.device)
        self._fold()

    def _fold(self) -> None:
        """Builds the inference path: the members' weights with the normalisers multiplied into them."""
        network, normalisers, device = self.parts.network, self.parts.normalisers, self.device
        target, outputs = normalisers.target, self._num_dims + 1
        every = torch.arange(self.parts.config.num_members)
        members = network.elites if self.propagation in ("mean", "elite") else every
        self._dynamics = FoldedMLP(network.dynamics.mlp, members, normalisers.inputs, device)
        raw = identity_normaliser(outputs)  # log-variances stay in normalised units
        self._gaussian = self._dynamics.head(slice(None), join_normalisers(target, raw))
        bounds = (network.dynamics.min_log_variance, network.dynamics.max_log_variance)
        self._variance_bounds = tuple(bound.detach()[members].to(device) for bound in bounds)
        self._noise_scale = self.trained.noise_scale.to(device)
        self._scale = target.std.to(device)
        self._inverse_scale = (target.inverse_std / outputs).to(device)
        self._per_output = (self._scale > 0).float() * self._noise_scale / outputs
        inputs, weight = self.parts.config.termination_inputs, network.termination_weight
        self._ending = FoldedTermination(network.termination, weight, inputs, normalisers, device, members)
        mean, (low, high) = self._dynamics.head(slice(0, outputs), target), self._variance_bounds
        spread = FoldedSpread(low, high, self._scale * self._noise_scale)
        self._sequences = FoldedSequences(self._dynamics, mean, self._gaussian, spread, self._ending, self._bounds)

    def with_trained(self, trained: Trained) -> "Ensemble":
        return Ensemble(trained, self.parts, self.options)

    @torch.inference_mode()
    def encode(
        self,
        observation: Tensor,
        previous: ModelState | None = None,
        action: Tensor | None = None,  # noqa: ARG002, part of the contract
    ) -> ModelState:
        """Returns the state at ``observation`` ``[B, D]``; of ``previous`` only tsinf's member is used."""
        require_vectors(observation, self._num_dims)
        state = {"observation": observation.to(self.device, torch.float32, copy=True)}
        if self.propagation == "tsinf":
            rows = len(observation)
            fresh = torch.full((rows,), UNASSIGNED, device=self.device)
            state["member"] = fresh if previous is None else previous["member"].clone()
        return state

    def memory(self, state: ModelState) -> ModelState:  # noqa: ARG002, part of the contract
        return {}

    def recall(self, observation: Tensor, memory: ModelState) -> ModelState:  # noqa: ARG002, part of the contract
        return self.encode(observation)

    @inference_unless_differentiated
    def step(self, state: ModelState, action: Tensor, generator: torch.Generator | None = None) -> Imagined:
        """Imagines one step of ``B`` rows (see `envs.world_model.WorldModel.step`). A row depends on no other row."""
        features = self._features(action)
        if not self.options.epistemic and self._follows(state, generator):
            return self._step_followed(state, features, self._deal(state, generator), generator)
        before, member = state["observation"], self._choose(state, generator)
        hidden = self._dynamics.hidden(torch.cat((before, features), dim=1))
        means, variances = self._gaussians(hidden)
        mean, variance = means.mean(0), variances.mean(0)
        outcome = mean if member is None else _of_member(means, member, mean)
        if generator is not None:
            followed = variance if member is None else _of_member(variances, member, variance)
            outcome = outcome + self._noise(followed, generator)
        observation = self._bounds.apply(before + outcome[:, :-1])
        after = observation.to(torch.float32)
        continuation = self._ending.continuation(after, after - before, features)
        if self.options.epistemic:
            uncertainty = (means - mean).square_().mean(0).sqrt_().mul_(self._inverse_scale).sum(1)
        else:
            uncertainty = torch.full_like(continuation, torch.nan)
        noise = variance.sqrt().mul_(self._per_output).sum(1)
        return Imagined(_following(after, member, state), observation, outcome[:, -1], continuation, uncertainty, noise)

    @property
    def num_members(self) -> int:
        """How many members are in use: the elites for ``mean`` and ``elite``, else all."""
        return self._dynamics.num_members

    def follow(self, state: ModelState, member: Tensor) -> ModelState:
        """Returns ``state`` with rows that follow ``member`` ``[B]`` int64 in [0, num_members), in every step."""
        return {"observation": state["observation"], "member": member}

    def _follows(self, state: ModelState, generator: torch.Generator | None) -> bool:
        """Whether every row follows some member at this step."""
        if generator is not None:
            return self.propagation != "mean" or "member" in state
        return "member" in state and bool((state["member"] != UNASSIGNED).all())

    def _step_followed(
        self, state: ModelState, features: Tensor, dealt: Dealt, generator: torch.Generator | None
    ) -> Imagined:
        """Steps each row with its own member alone: rows are gathered by member for the networks."""
        before = state["observation"]
        hidden = self._dynamics.hidden_of_each(dealt.gather(torch.cat((before, features), dim=1)))
        mean, variance = dealt.scatter(torch.cat(self._gaussians(hidden), dim=-1)).chunk(2, dim=1)
        outcome = mean if generator is None else mean + self._noise(variance, generator)
        observation = self._bounds.apply(before + outcome[:, :-1])
        after = observation.to(torch.float32)
        continuation = self._ending.continuation(after, after - before, features, dealt)
        unknown = torch.full_like(continuation, torch.nan)
        noise = variance.sqrt().mul_(self._per_output).sum(1)
        return Imagined(
            _following(after, dealt.member, state), observation, outcome[:, -1], continuation, unknown, noise
        )

    def imagine(
        self, state: ModelState, actions: Tensor, generator: torch.Generator | None, with_uncertainty: bool
    ) -> Imagination:
        """Imagines sequences (see `envs.world_model.SequenceModel`), fast where rows follow one member or the mean."""
        fast = not with_uncertainty and self._bounds.dtype == torch.float32 and not is_differentiated(actions, state)
        followed = self.propagation in ("mean", "tsinf") and self._follows(state, generator)
        if not fast or not (followed or (generator is None and "member" not in state)):
            return imagine_by_steps(self, state, actions, generator)
        with torch.inference_mode():
            features = self._features(actions.flatten(0, 1)).unflatten(0, actions.shape[:2])
            if not followed:
                return self._sequences.imagine_mean(state["observation"], features)
            dealt = self._deal(state, generator)
            imagined = self._sequences.imagine(state["observation"], features, dealt, generator)
        imagined.state["member"] = dealt.member
        return imagined

    def _gaussians(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the members' means, and their variances in normalised units before the noise scale, ``[M, *, Y]``."""
        mean, log_variance = self._gaussian(hidden).chunk(2, dim=-1)
        return mean, soft_clamp(log_variance, *self._variance_bounds).exp_()

    def _choose(self, state: ModelState, generator: torch.Generator | None) -> Tensor | None:
        """Returns the member that each row follows ``[B]`` (`UNASSIGNED`: the mean), or None for the mean in all."""
        if generator is None or (self.propagation == "mean" and "member" in state):
            return state.get("member")
        return None if self.propagation == "mean" else self._deal(state, generator).member

    def _deal(self, state: ModelState, generator: torch.Generator | None) -> Dealt:
        """Deals a member to each row, or where states hold one only to those that have none yet (at the same cost in
        draws); without a generator each has one.
        """
        held = state.get("member")
        if generator is None:
            assert held is not None
            return by_member(held, self._dynamics.num_members)
        dealt = deal(len(state["observation"]), self._dynamics.num_members, generator, self.device)
        if held is None:
            return dealt
        return by_member(torch.where(held == UNASSIGNED, dealt.member, held), self._dynamics.num_members)

    def _noise(self, variance: Tensor, generator: torch.Generator) -> Tensor:
        """Draws ``[B, Y]``, for every row the same amount of random numbers."""
        draws = torch.randn(variance.shape, generator=generator, device=self.device)
        return draws.mul_(variance.sqrt()).mul_(self._scale).mul_(self._noise_scale)

    @torch.inference_mode()
    def predict(self, state: ModelState, action: Tensor) -> Mixture:
        """Returns the mixture of the members' Gaussians in equal shares, or a tsinf row's own member's alone."""
        before = state["observation"]
        hidden = self._dynamics.hidden(torch.cat((before, self._features(action)), dim=1))
        means, variances = self._gaussians(hidden)
        mean, std = means.transpose(0, 1).clone(), variances.transpose(0, 1).sqrt() * self._scale
        mean[..., :-1] += before[:, None]
        share = torch.full(mean.shape[:2], -math.log(mean.shape[1]), device=self.device)
        if "member" in state:
            held = state["member"][:, None]
            others = (held != UNASSIGNED) & (held != torch.arange(mean.shape[1], device=self.device))
            share = torch.where(held == UNASSIGNED, share, 0.0).masked_fill(others, -torch.inf)
        return Mixture(share, mean, std).widened(self._noise_scale)


def _following(after: Tensor, member: Tensor | None, state: ModelState) -> ModelState:
    """Returns the next state; only tsinf's states hold a member."""
    return (
        {"observation": after, "member": member} if member is not None and "member" in state else {"observation": after}
    )


def _of_member(values: Tensor, member: Tensor, otherwise: Tensor) -> Tensor:
    """Picks each row's member from ``[M, B, Y]``, and ``otherwise`` ``[B, Y]`` where it is `UNASSIGNED`."""
    rows = torch.arange(values.shape[1], device=values.device)
    return torch.where((member == UNASSIGNED)[:, None], otherwise, values[member.clamp(min=0), rows])


def content_of(model: Ensemble) -> tuple[EnsembleConfig, dict[str, Tensor]]:
    weights = weights_to_tensors(model.parts.network)
    config = replace(model.parts.config, propagation=model.propagation)
    return config, weights | model.parts.normalisers.to_tensors()


def rebuild(trained: Trained, config: EnsembleConfig, tensors: Mapping[str, Tensor], options: LoadOptions) -> Ensemble:
    network = EnsembleNetwork(trained.spec, config, torch.Generator())
    weights = weights_from(tensors)
    network.elites = weights["elites"]  # of a length of its own, which load_state_dict would refuse
    network.load_state_dict(weights)
    return Ensemble(trained, EnsembleParts(config, network, normalisers_from(tensors)), options)
