"""A recurrent model: what it has seen is in its memory, so that what one observation hides need not be hidden from it.

World Models (Ha and Schmidhuber 2018, https://arxiv.org/abs/1803.10122): a recurrent network reads observation and
action and predicts a mixture of Gaussians. Here of the change of the observation and of the reward, whose components
are whole outcomes: one is drawn a step, for all numbers together. Departures: GRU or LSTM; vectors, not a picture's
code; the prediction also reads the step's inputs directly, so that nothing is lost where the observation shows all;
the inputs include how the observation changed since the step before, the difference of two near numbers, which a cell
can take itself only roughly (without it the open-loop error on CartPole without velocities is nine times larger);
terminations, and the noise scale measured on validation data, are as in the other families.

Shape legend: ``B`` rows, ``D`` observation dimensions, ``H`` units of the cell, ``K`` mixture components, ``Y = D + 1``
predicted numbers (the change of the observation, then the reward), ``A`` action features, ``F = 2 D + A`` inputs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from envs.errors import InputError
from envs.world_model import Imagined, ModelState
from worldmodels.configs import RecurrentConfig
from worldmodels.families.recurrent_network import (
    FoldedCell,
    Memory,
    RecurrentNetwork,
    inputs_normaliser,
    mixture_parts,
)
from worldmodels.features import (
    ObservationBounds,
    available_device,
    make_action_features,
    require_vectors,
    vector_space,
)
from worldmodels.inference import inference_unless_differentiated
from worldmodels.judging import FoldedTermination
from worldmodels.networks import FoldedMLP, soft_clamp, weights_from, weights_to_tensors
from worldmodels.normaliser import Normalisers, identity_normaliser, join_normalisers, normalisers_from
from worldmodels.prediction import Mixture
from worldmodels.saved_model import LoadOptions, Trained

_MEMORY = ("hidden", "cell")


@dataclass(frozen=True)
class RecurrentParts:
    """What a recurrent model is made of; tensors on the CPU.

    Attributes:
        config: its architecture.
        network: its weights.
        normalisers: fitted on the training split.
    """

    config: RecurrentConfig
    network: RecurrentNetwork
    normalisers: Normalisers


class Recurrent:
    """A trained recurrent model, ready to imagine and to be saved (`worldmodels.saved_model.SavedWorldModel`).

    Its state is the ``observation`` ``[B, D]``, its ``change`` since the step before (0 at the start of an episode) and
    what the cell remembers of all steps before: ``hidden`` ``[B, H]``, and for an LSTM ``cell`` ``[B, H]`` (zeros at
    the start). A step costs the same however many came before.

    With a generator each row draws a component and then its noise; without one the outcome is the mean of the most
    likely component. There is one opinion: the epistemic uncertainty is 0. The aleatoric one is the mixture's standard
    deviation in units of the training targets' one, averaged over the ``Y`` predicted numbers.
    """

    family: ClassVar[str] = "recurrent"
    remembers: ClassVar[bool] = True

    def __init__(self, trained: Trained, parts: RecurrentParts, options: LoadOptions | None = None):
        """The network's weights are read once, here.

        Raises:
            InputError: a propagation, or a device that is not there.
        """
        self.options = options or LoadOptions()
        self.options.require_no_propagation("recurrent model")
        self.trained, self.parts = trained, parts
        self.spec, self.device = trained.spec, available_device(self.options.device)
        self._num_dims = vector_space(self.spec).shape[0]
        self._features = make_action_features(self.spec.action_space, self.device)
        self._bounds = ObservationBounds(vector_space(self.spec), self.device)
        self._fold()

    def _fold(self) -> None:
        """Builds the inference path: the weights with the normalisers multiplied into them."""
        config, network, normalisers = self.parts.config, self.parts.network, self.parts.normalisers
        dynamics, target, inputs = network.dynamics, normalisers.target, inputs_normaliser(normalisers)
        self._shape = (config.num_components, self._num_dims + 1)
        self._remember = FoldedCell(dynamics.memory, inputs, self.device)
        read = join_normalisers(identity_normaliser(config.memory_size), inputs)
        self._mixture = FoldedMLP(dynamics.mixture, torch.arange(1), read, self.device)
        logits, means, spreads = mixture_parts(*self._shape)
        self._logit = self._mixture.head(logits)
        self._mean = self._mixture.head(means, join_normalisers(*[target] * config.num_components))
        self._spread = self._mixture.head(spreads)
        bounds = (dynamics.min_log_variance, dynamics.max_log_variance)
        self._spread_bounds = tuple(bound.detach().to(self.device) for bound in bounds)
        self._scale = target.std.to(self.device)
        self._noise_scale = self.trained.noise_scale.to(self.device)
        self._noise_unit = target.inverse_std.to(self.device) * self._noise_scale / self._shape[1]
        self._ending = FoldedTermination(
            network.termination, network.termination_weight, config.termination_inputs, normalisers, self.device
        )

    def with_trained(self, trained: Trained) -> "Recurrent":
        return Recurrent(trained, self.parts, self.options)

    @torch.inference_mode()
    def encode(
        self, observation: Tensor, previous: ModelState | None = None, action: Tensor | None = None
    ) -> ModelState:
        """Returns the state at ``observation`` ``[B, D]``: ``previous`` remembers one step more, that of ``action``.

        Raises:
            InputError: observations of another shape, or a state before without the action done in it.
        """
        now = require_vectors(observation, self._num_dims).to(self.device, torch.float32, copy=True)
        if previous is None:
            return self._state(now, torch.zeros_like(now), self._remember.empty(len(now)))
        if action is None:
            raise InputError("expected the action that was done in the state before, got none")
        memory = self._remember(self._inputs(previous, action), _memory_of(previous))
        return self._state(now, now - previous["observation"], memory)

    def _state(self, observation: Tensor, change: Tensor, memory: Memory) -> ModelState:
        return {"observation": observation, "change": change, **dict(zip(_MEMORY, memory, strict=False))}

    def memory(self, state: ModelState) -> ModelState:
        return {name: value for name, value in state.items() if name != "observation"}

    def recall(self, observation: Tensor, memory: ModelState) -> ModelState:
        now = require_vectors(observation, self._num_dims).to(self.device, torch.float32, copy=True)
        return {"observation": now, **memory}

    @inference_unless_differentiated
    def step(self, state: ModelState, action: Tensor, generator: torch.Generator | None = None) -> Imagined:
        """Imagines one step of ``B`` rows (see `envs.world_model.WorldModel.step`). A row depends on no other row."""
        before, inputs = state["observation"], self._inputs(state, action)
        memory = self._remember(inputs, _memory_of(state))
        expected = self._expected(memory[0], inputs)
        centre = expected.average()
        outcome = _likeliest(expected) if generator is None else self._drawn(expected, centre, generator)
        observation = self._bounds.apply(before + outcome[:, :-1])
        after = observation.to(torch.float32)
        change = after - before
        return Imagined(
            state=self._state(after, change, memory),
            observation=observation,
            reward=outcome[:, -1],
            continuation=self._ending.continuation(after, change, inputs[:, 2 * self._num_dims :]),
            uncertainty=torch.zeros(len(before), device=self.device),
            noise=_deviation(expected, centre) @ self._noise_unit,
        )

    @torch.inference_mode()
    def predict(self, state: ModelState, action: Tensor) -> Mixture:
        """Returns the mixture of ``K`` Gaussians, widened by the noise scale."""
        inputs = self._inputs(state, action)
        expected = self._expected(self._remember(inputs, _memory_of(state))[0], inputs)
        expected.mean[..., :-1] += state["observation"][:, None]
        return expected.widened(self._noise_scale)

    def _inputs(self, state: ModelState, action: Tensor) -> Tensor:
        """Returns what is read of a step ``[B, F]``, in raw units."""
        return torch.cat((state["observation"], state["change"], self._features(action)), dim=1)

    def _expected(self, remembered: Tensor, inputs: Tensor) -> Mixture:
        """Returns what is expected of change and reward, before the noise scale."""
        hidden = self._mixture.hidden(torch.cat((remembered, inputs), dim=1))
        shape = (len(inputs), *self._shape)
        log_variance = soft_clamp(self._spread(hidden)[0].view(shape), *self._spread_bounds)
        std = log_variance.mul_(0.5).exp_().mul_(self._scale)
        return Mixture(self._logit(hidden)[0].log_softmax(1), self._mean(hidden)[0].view(shape), std)

    def _drawn(self, expected: Mixture, centre: Tensor, generator: torch.Generator) -> Tensor:
        """Draws outcomes ``[B, Y]`` of the widened mixture, for every row the same amount of random numbers."""
        level = torch.rand((len(centre), 1), generator=generator, device=self.device)
        below = expected.log_weight.exp().cumsum(1) < level
        chosen = below.sum(1).clamp(max=self._shape[0] - 1)  # shares may sum to a little less than 1
        noise = torch.randn(centre.shape, generator=generator, device=self.device)
        away = _of_component(expected.mean, chosen) - centre + noise * _of_component(expected.std, chosen)
        return centre + self._noise_scale * away


def _memory_of(state: ModelState) -> Memory:
    return tuple(state[name] for name in _MEMORY if name in state)


def _of_component(values: Tensor, component: Tensor) -> Tensor:
    """Picks each row's ``component`` ``[B]`` from ``[B, K, Y]``."""
    return values[torch.arange(len(values), device=values.device), component]


def _likeliest(expected: Mixture) -> Tensor:
    return _of_component(expected.mean, expected.log_weight.argmax(1))


def _deviation(expected: Mixture, centre: Tensor) -> Tensor:
    """Returns the standard deviation ``[B, Y]`` of a mixture whose mean is ``centre``."""
    squares = expected.std.square() + (expected.mean - centre[:, None]).square()
    return (expected.log_weight.exp()[..., None] * squares).sum(1).sqrt()


def content_of(model: Recurrent) -> tuple[RecurrentConfig, dict[str, Tensor]]:
    weights = weights_to_tensors(model.parts.network)
    return model.parts.config, weights | model.parts.normalisers.to_tensors()


def rebuild(
    trained: Trained, config: RecurrentConfig, tensors: Mapping[str, Tensor], options: LoadOptions
) -> Recurrent:
    network = RecurrentNetwork(trained.spec, config, torch.Generator())
    network.load_state_dict(weights_from(tensors))
    return Recurrent(trained, RecurrentParts(config, network, normalisers_from(tensors)), options)
