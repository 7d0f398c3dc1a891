"""A factored model: separate networks for transition, reward and termination, with sizes and data of their own.

The transition network tells a Gaussian over the change of the observation. The reward network (a Gaussian) and the
termination network judge the step once it is known where it led; the reward's reads observation, action and next
observation. So a reward can be learned from other logs than the dynamics, and exchanged without touching them.

Shape legend: ``B`` rows, ``D`` observation dimensions, ``Y = D + 1`` predicted numbers (the change of the observation,
then the reward), ``A`` action features. Networks are ensembles of one member, whose axis is written 1.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from envs.world_model import Imagined, ModelState
from worldmodels.configs import FactoredConfig
from worldmodels.families.factored_network import FactoredNetwork, FactorNormalisers
from worldmodels.features import (
    ObservationBounds,
    available_device,
    make_action_features,
    require_vectors,
    vector_space,
)
from worldmodels.inference import inference_unless_differentiated
from worldmodels.judging import FoldedTermination, judged, judged_normaliser
from worldmodels.networks import FoldedGaussian, weights_from, weights_to_tensors
from worldmodels.normaliser import normalisers_from
from worldmodels.prediction import Mixture
from worldmodels.saved_model import LoadOptions, Trained


@dataclass(frozen=True)
class FactoredParts:
    """What a factored model is made of; tensors on the CPU."""

    config: FactoredConfig
    network: FactoredNetwork
    normalisers: FactorNormalisers


class FactoredModel:
    """A trained factored model, ready to imagine and to be saved (`worldmodels.saved_model.SavedWorldModel`).

    With a generator the next observation is drawn from the transition network's Gaussian, then the reward from the
    reward network's, which has seen that next observation; without one both are the mean. There is one opinion: the
    epistemic uncertainty is 0. The aleatoric one is the standard deviation of each number, given those before it, in
    units of the training targets' standard deviation and averaged over the ``Y`` predicted numbers.
    """

    family: ClassVar[str] = "factored"
    remembers: ClassVar[bool] = False

    def __init__(self, trained: Trained, parts: FactoredParts, options: LoadOptions | None = None):
        """The weights are read once, here.

        Raises:
            InputError: a propagation, or a device that is not there.
        """
        self.options = options or LoadOptions()
        self.options.require_no_propagation("factored model")
        self.trained, self.parts = trained, parts
        self.spec, self.device = trained.spec, available_device(self.options.device)
        self._num_dims = vector_space(self.spec).shape[0]
        self._features = make_action_features(self.spec.action_space, self.device)
        self._bounds = ObservationBounds(vector_space(self.spec), self.device)
        self._fold()

    def _fold(self) -> None:
        network, normalisers, device = self.parts.network, self.parts.normalisers, self.device
        change = normalisers.transition.target.part(slice(0, -1))
        reward = normalisers.reward.target.part(slice(-1, None))
        reading = judged_normaliser("transition", normalisers.reward)
        self._transition = FoldedGaussian(network.transition, normalisers.transition.inputs, change, device)
        self._reward = FoldedGaussian(network.reward, reading, reward, device)
        inputs, weight = self.parts.config.termination_inputs, network.termination_weight
        self._ending = FoldedTermination(network.termination, weight, inputs, normalisers.termination, device)
        scale = torch.cat((change.std, reward.std))
        self._scale, self._noise_scale = scale.to(device), self.trained.noise_scale.to(device)
        self._per_output = ((scale > 0) * self.trained.noise_scale / len(scale)).to(device)

    def with_trained(self, trained: Trained) -> "FactoredModel":
        return FactoredModel(trained, self.parts, self.options)

    @torch.inference_mode()
    def encode(
        self,
        observation: Tensor,
        previous: ModelState | None = None,  # noqa: ARG002, part of the contract
        action: Tensor | None = None,  # noqa: ARG002, part of the contract
    ) -> ModelState:
        """Returns the state at ``observation`` ``[B, D]``."""
        return {"observation": require_vectors(observation, self._num_dims).to(self.device, torch.float32, copy=True)}

    def memory(self, state: ModelState) -> ModelState:  # noqa: ARG002, part of the contract
        return {}

    def recall(self, observation: Tensor, memory: ModelState) -> ModelState:  # noqa: ARG002, part of the contract
        return self.encode(observation)

    @inference_unless_differentiated
    def step(self, state: ModelState, action: Tensor, generator: torch.Generator | None = None) -> Imagined:
        """Imagines one step of ``B`` rows (see `envs.world_model.WorldModel.step`). A row depends on no other row."""
        before, features = state["observation"], self._features(action)
        draws = self._draws(len(before), generator)
        change, change_std = _only(self._transition(torch.cat((before, features), dim=1)))
        if draws is not None:
            change = change + change_std * draws[:, :-1]
        observation = self._bounds.apply(before + change)
        after = observation.to(torch.float32)
        change = after - before
        reward, reward_std = _only(self._reward(judged("transition", after, change, features)))
        if draws is not None:
            reward = reward + reward_std * draws[:, -1:]
        std = torch.cat((change_std, reward_std), dim=1)
        return Imagined(
            state={"observation": after},
            observation=observation,
            reward=reward.squeeze(1),
            continuation=self._ending.continuation(after, change, features),
            uncertainty=torch.zeros(len(before), device=self.device),
            noise=std @ self._per_output,
        )

    def _draws(self, num_rows: int, generator: torch.Generator | None) -> Tensor | None:
        """Draws for every row the same amount of random numbers ``[B, Y]``, in raw units and widened."""
        if generator is None:
            return None
        draws = torch.randn((num_rows, len(self._scale)), generator=generator, device=self.device)
        return draws.mul_(self._scale).mul_(self._noise_scale)

    @torch.inference_mode()
    def predict(self, state: ModelState, action: Tensor) -> Mixture:
        """Returns one Gaussian.

        The reward's is the one at the mean next observation, widened by what the next observation's noise does to the
        reward: its mean is followed one deviation up and down each dimension, as an unscented transform does (Julier
        and Uhlmann 1997), which is exact where the reward is linear.
        """
        before, features = state["observation"], self._features(action)
        change, change_std = _only(self._transition(torch.cat((before, features), dim=1)))
        change_std = change_std * self._scale[:-1]
        reward, reward_std = _only(self._reward(judged("transition", before + change, change, features)))
        variance = (reward_std * self._scale[-1:]).square()
        for dim in range(self._num_dims):
            shift = torch.zeros_like(change)
            shift[:, dim] = change_std[:, dim]
            up, down = (
                self._reward(judged("transition", before + moved, moved, features))[0][0]
                for moved in (change + shift, change - shift)
            )
            variance += ((up - down) / 2).square()
        mean = torch.cat((before + change, reward), dim=1)
        std = torch.cat((change_std, variance.sqrt()), dim=1)
        share = torch.zeros(len(mean), 1, device=self.device)
        return Mixture(share, mean[:, None], std[:, None]).widened(self._noise_scale)


def _only(predicted: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Returns the mean and the deviation ``[B, Y]`` of the one member there is."""
    mean, std = predicted
    return mean[0], std[0]


def content_of(model: FactoredModel) -> tuple[FactoredConfig, dict[str, Tensor]]:
    tensors = weights_to_tensors(model.parts.network)
    for factor, normalisers in model.parts.normalisers._asdict().items():
        tensors |= normalisers.to_tensors(f"{factor}.normaliser.")
    return model.parts.config, tensors


def rebuild(
    trained: Trained, config: FactoredConfig, tensors: Mapping[str, Tensor], options: LoadOptions
) -> FactoredModel:
    network = FactoredNetwork(trained.spec, config, torch.Generator())
    network.load_state_dict(weights_from(tensors))
    factors = FactorNormalisers._fields
    normalisers = FactorNormalisers(*(normalisers_from(tensors, f"{factor}.normaliser.") for factor in factors))
    return FactoredModel(trained, FactoredParts(config, network, normalisers), options)
