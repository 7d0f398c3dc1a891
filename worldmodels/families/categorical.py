"""A model of Discrete observations and actions: an ensemble that tells the probability of every next state.

Three kinds of network read one-hot vectors: transition (state and action) gives logits of the next state, reward and
termination (state, action and next state) judge the step. Members differ by their first weights and the order of the
data (Lakshminarayanan et al. 2017, https://arxiv.org/abs/1612.01474); the model is the mean of their probabilities.
Since states and actions can be counted, all probabilities are computed once, when the model is made, and a step looks
them up.

Shape legend: ``M`` members, ``B`` rows, ``N`` states, ``A`` actions, ``P = N A`` pairs of them, ``K`` next states that
a predicted reward is a mixture over. States and actions are counted from 0 inside this file.
"""

import copy
import math
from collections.abc import Mapping
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from envs.errors import InputError
from envs.world_model import Imagined, ModelState
from worldmodels.configs import CategoricalConfig
from worldmodels.families.categorical_network import CategoricalNetwork, OneHotMLP, discrete_sizes
from worldmodels.features import available_device
from worldmodels.judging import NEVER_ENDS
from worldmodels.networks import weights_from, weights_to_tensors
from worldmodels.prediction import Categorical, Mixture
from worldmodels.saved_model import LoadOptions, Trained

_CHUNK = 4096
_MOST_OUTCOMES = 16


class _Tables(NamedTuple):
    """Of every pair of state and action (row ``state * A + action``).

    Attributes:
        probability: of each next state ``[P, N]``.
        sampling: ``[P * N]`` float64, row plus cumulative probability: ascending throughout.
        likely: the most likely next state ``[P]``.
        disagreement: the mutual information of next state and member, as a share of ``log N`` ``[P]``.
        entropy: the members' mean entropy, as a share of ``log N`` ``[P]``.
    """

    probability: Tensor
    sampling: Tensor
    likely: Tensor
    disagreement: Tensor
    entropy: Tensor


def _tabulate(network: OneHotMLP, num_states: int, num_actions: int, device: torch.device) -> _Tables:
    pairs = torch.arange(num_states * num_actions, device=device)
    probabilities, entropies = [], []
    for chunk in pairs.split(_CHUNK):
        logits = network(chunk[None] // num_actions, chunk[None] % num_actions)
        each = logits.log_softmax(-1)
        probabilities.append(each.exp().mean(0))
        entropies.append(-(each.exp() * each).sum(-1).mean(0))
    probability, entropy = torch.cat(probabilities), torch.cat(entropies)
    total = torch.special.entr(probability).sum(1)
    share = 1 / math.log(max(num_states, 2))
    cumulative = probability.double().cumsum(1)
    cumulative = pairs[:, None] + cumulative / cumulative[:, -1:]
    return _Tables(
        probability=probability,
        sampling=cumulative.flatten(),
        likely=probability.argmax(1),
        disagreement=share * (total - entropy).clamp(min=0),
        entropy=share * entropy,
    )


class Outcomes(NamedTuple):
    """All that the steps of ``B`` rows can lead to.

    Attributes:
        probability: of each next state ``[B, N]``, counted from the space's start; sums to 1.
        reward: of going there ``[B, N]``.
        continuation: probability that the episode is not terminated by going there ``[B, N]``.
    """

    probability: Tensor
    reward: Tensor
    continuation: Tensor


class CategoricalModel:
    """A trained categorical model, ready to imagine and to be saved (`worldmodels.saved_model.SavedWorldModel`).

    With a generator the next state is drawn from the mean of the members' probabilities; without one it is the most
    likely one. Reward and continuation are the members' mean for that step; the reward is not noisy beside that.

    The epistemic uncertainty is the mutual information between next state and member (Depeweg et al. 2018,
    https://arxiv.org/abs/1710.07283), the aleatoric one the members' mean entropy, both as a share of the entropy of
    knowing nothing, ``log N``: each is from 0 to 1, and together they are the entropy of the mean probabilities.
    """

    family: ClassVar[str] = "categorical"
    remembers: ClassVar[bool] = False

    def __init__(
        self,
        trained: Trained,
        config: CategoricalConfig,
        network: CategoricalNetwork,
        options: LoadOptions | None = None,
    ):
        """The network goes to the options' device.

        Raises:
            InputError: a propagation but the mean, or a device that is not there.
        """
        self.options = options or LoadOptions()
        if self.options.propagation not in (None, "mean"):
            told = "a categorical model mixes its members' probabilities; expected propagation mean"
            raise InputError(f"{told}, got {self.options.propagation}")
        self.trained, self.config = trained, config
        self.spec, self.device = trained.spec, available_device(self.options.device)
        self.network = network.to(self.device)
        self._never_ends = float(network.termination_weight) == NEVER_ENDS
        self._num_states, self._num_actions = discrete_sizes(self.spec)
        space = self.spec.observation_space
        self._dtype = torch.from_numpy(np.empty(0, space.dtype)).dtype
        self._first, self._first_action = int(space.start), int(self.spec.action_space.start)  # type: ignore[attr-defined]
        with torch.inference_mode():
            self._tables = _tabulate(network.transition, self._num_states, self._num_actions, self.device)

    def with_trained(self, trained: Trained) -> "CategoricalModel":
        other = copy.copy(self)  # what was tabulated does not depend on it
        other.trained = trained
        return other

    @torch.inference_mode()
    def encode(
        self,
        observation: Tensor,
        previous: ModelState | None = None,  # noqa: ARG002, part of the contract
        action: Tensor | None = None,  # noqa: ARG002, part of the contract
    ) -> ModelState:
        """Returns the state at ``observation`` ``[B]``; raises `InputError` where one is outside the space."""
        space = self.spec.observation_space
        if observation.dim() != 1 or observation.dtype.is_floating_point:
            raise InputError(
                f"expected whole observations of shape [B], got {observation.dtype} of {list(observation.shape)}"
            )
        observation = observation.to(self.device, torch.int64, copy=True)
        outside = (observation < self._first) | (observation >= self._first + self._num_states)
        if outside.any():
            raise InputError(f"expected observations inside {space}, got {int(observation[outside][0])}")
        return {"observation": observation}

    def memory(self, state: ModelState) -> ModelState:  # noqa: ARG002, part of the contract
        return {}

    def recall(self, observation: Tensor, memory: ModelState) -> ModelState:  # noqa: ARG002, part of the contract
        return self.encode(observation)

    @torch.inference_mode()
    def step(self, state: ModelState, action: Tensor, generator: torch.Generator | None = None) -> Imagined:
        """Imagines one step of ``B`` rows (see `envs.world_model.WorldModel.step`). A row depends on no other row.

        Raises:
            InputError: an action outside the space.
        """
        before, done = self._counted(state, action)
        pair = before * self._num_actions + done
        after = self._tables.likely[pair] if generator is None else self._sample(pair, generator)
        observation = after + self._first
        reward, continuation = self._judge(before, done, after)
        return Imagined(
            state={"observation": observation},
            observation=observation.to(self._dtype),
            reward=reward,
            continuation=continuation,
            uncertainty=self._tables.disagreement[pair],
            noise=self._tables.entropy[pair],
        )

    def _counted(self, state: ModelState, action: Tensor) -> tuple[Tensor, Tensor]:
        """Returns states and actions ``[B]`` counted from 0; an action outside would read another state's row."""
        done = action.long() - self._first_action
        outside = (done < 0) | (done >= self._num_actions)
        if outside.any():
            raise InputError(f"expected actions inside {self.spec.action_space}, got {int(action[outside][0])}")
        return state["observation"] - self._first, done

    def _sample(self, pair: Tensor, generator: torch.Generator) -> Tensor:
        """Returns next states ``[B]``, drawn with one random number a row.

        That number has 24 binary digits: with fewer than 2^26 pairs, its sum with the pair is exact in float64, and
        stays inside the pair's part of the table.
        """
        drawn = torch.rand(len(pair), generator=generator, device=self.device)
        found = torch.searchsorted(self._tables.sampling, pair + drawn.double(), right=True)
        return found - pair * self._num_states

    def _judge(self, before: Tensor, action: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
        """Returns reward and continuation ``[B]`` of steps that led from ``before`` to ``after``, counted from 0."""
        step, network = (before[None], action[None], after[None]), self.network
        reward = network.reward_mean + network.reward_std * network.reward(*step).squeeze(-1).mean(0)
        if self._never_ends:
            return reward, torch.ones_like(reward)
        ending = network.termination(*step).squeeze(-1)
        return reward, torch.sigmoid(network.termination_weight.log() - ending).mean(0)

    @torch.inference_mode()
    def outcomes(self, state: ModelState, action: Tensor) -> Outcomes:
        """Returns all that a step can lead to: with every state and action, a finite Markov decision process."""
        before, done = self._counted(state, action)
        probability = self._tables.probability[before * self._num_actions + done]
        after = torch.arange(self._num_states, device=self.device).expand_as(probability)
        reward, continuation = self._judge_each(before, done, after)
        return Outcomes(probability, reward, continuation)

    def _judge_each(self, before: Tensor, action: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
        """As `_judge` for several next states ``[B, K]`` of each row; returns both ``[B, K]``."""
        times = after.shape[1]
        judged = self._judge(before.repeat_interleave(times), action.repeat_interleave(times), after.flatten())
        reward, continuation = (each.view(after.shape) for each in judged)
        return reward, continuation

    @torch.inference_mode()
    def predict(self, state: ModelState, action: Tensor) -> Categorical:
        """Returns the probability of each next state, and the reward as a mixture over the most likely of them.

        Each component is as wide as the reward's errors on validation data; at most 16 next states are told apart.
        """
        before, done = self._counted(state, action)
        probability = self._tables.probability[before * self._num_actions + done]
        share, after = probability.topk(min(self._num_states, _MOST_OUTCOMES), dim=1)
        mean = self._judge_each(before, done, after)[0][..., None]
        std = (self.network.reward_residual * self.network.reward_std).expand_as(mean)
        return Categorical(probability, Mixture((share / share.sum(1, keepdim=True)).log(), mean, std))


def content_of(model: CategoricalModel) -> tuple[CategoricalConfig, dict[str, Tensor]]:
    return model.config, weights_to_tensors(model.network)


def rebuild(
    trained: Trained, config: CategoricalConfig, tensors: Mapping[str, Tensor], options: LoadOptions
) -> CategoricalModel:
    network = CategoricalNetwork(trained.spec, config, torch.Generator())
    network.load_state_dict(weights_from(tensors))
    return CategoricalModel(trained, config, network, options)
