"""A deterministic perceptron: one network tells the change of the observation and the reward, one tells an end.

The plainest model of a step (Nagabandi et al. 2018, https://arxiv.org/abs/1708.02596, section IV.A): mean squared error
on normalised changes. Departures: reward and termination are learned too; the noise that it reports, and the width of
what it predicts, come from its own errors on validation data.

Shape legend: ``B`` rows, ``D`` observation dimensions, ``Y = D + 1`` predicted numbers (the change of the observation,
then the reward), ``A`` action features.
"""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from envs.world_model import Imagination, Imagined, ModelState, imagine_by_steps
from worldmodels.configs import MLPConfig
from worldmodels.families.mlp_network import MLPNetwork
from worldmodels.features import (
    ObservationBounds,
    available_device,
    make_action_features,
    require_vectors,
    vector_space,
)
from worldmodels.inference import inference_unless_differentiated, is_differentiated
from worldmodels.judging import FoldedTermination
from worldmodels.networks import FoldedMLP, weights_from, weights_to_tensors
from worldmodels.normaliser import Normalisers, normalisers_from
from worldmodels.prediction import Mixture
from worldmodels.saved_model import LoadOptions, Trained
from worldmodels.sequences import AllToOne, FoldedSequences


class MLPModel:
    """A trained perceptron, ready to imagine and to be saved (`worldmodels.saved_model.SavedWorldModel`).

    It has one opinion and samples nothing: a step is the same with and without a generator, and its epistemic
    uncertainty is 0. Its aleatoric uncertainty is one number for all steps: the root mean square of its errors on
    validation data, widened by the noise scale, in units of the training targets' standard deviation and averaged over
    the ``Y`` predicted numbers.
    """

    family: ClassVar[str] = "mlp"
    remembers: ClassVar[bool] = False

    def __init__(
        self,
        trained: Trained,
        config: MLPConfig,
        network: MLPNetwork,
        normalisers: Normalisers,
        options: LoadOptions | None = None,
    ):
        """The weights are read once, here; the arguments' tensors are on the CPU.

        Raises:
            InputError: a propagation, or a device that is not there.
        """
        self.options = options or LoadOptions()
        self.options.require_no_propagation("deterministic perceptron")
        self.trained, self.config, self.network, self.normalisers = trained, config, network, normalisers
        self.spec, self.device = trained.spec, available_device(self.options.device)
        self._num_dims = vector_space(self.spec).shape[0]
        self._features = make_action_features(self.spec.action_space, self.device)
        self._bounds = ObservationBounds(vector_space(self.spec), self.device)
        self._dynamics = FoldedMLP(network.dynamics, torch.arange(1), normalisers.inputs, self.device)
        self._head = self._dynamics.head(slice(None), normalisers.target)
        self._ending = FoldedTermination(
            network.termination, network.termination_weight, config.termination_inputs, normalisers, self.device
        )
        self._sequences = FoldedSequences(self._dynamics, self._head, None, None, self._ending, self._bounds)
        self._std = (network.residual * normalisers.target.std).to(self.device)
        self._noise_scale = trained.noise_scale.to(self.device)
        changes = normalisers.target.std > 0
        self._noise = float(torch.where(changes, network.residual * trained.noise_scale, 0.0).mean())

    def with_trained(self, trained: Trained) -> "MLPModel":
        return MLPModel(trained, self.config, self.network, self.normalisers, self.options)

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
    def step(
        self,
        state: ModelState,
        action: Tensor,
        generator: torch.Generator | None = None,  # noqa: ARG002, nothing is drawn
    ) -> Imagined:
        """Imagines one step of ``B`` rows (see `envs.world_model.WorldModel.step`). A row depends on no other row."""
        before, features = state["observation"], self._features(action)
        outcome = self._outcome(before, features)
        observation = self._bounds.apply(before + outcome[:, :-1])
        after = observation.to(torch.float32)
        return Imagined(
            state={"observation": after},
            observation=observation,
            reward=outcome[:, -1],
            continuation=self._ending.continuation(after, after - before, features),
            uncertainty=torch.zeros(len(before), device=self.device),
            noise=torch.full((len(before),), self._noise, device=self.device),
        )

    def imagine(
        self, state: ModelState, actions: Tensor, generator: torch.Generator | None, with_uncertainty: bool
    ) -> Imagination:
        """Imagines sequences (see `envs.world_model.SequenceModel`)."""
        if with_uncertainty or is_differentiated(actions, state) or self._bounds.dtype != torch.float32:
            return imagine_by_steps(self, state, actions, generator)
        with torch.inference_mode():
            features = self._features(actions.flatten(0, 1)).unflatten(0, actions.shape[:2])
            return self._sequences.imagine(state["observation"], features, AllToOne(), None)

    def _outcome(self, before: Tensor, features: Tensor) -> Tensor:
        """Returns the change of the observation and the reward ``[B, Y]``."""
        return self._head(self._dynamics.hidden(torch.cat((before, features), dim=1)))[0]

    @torch.inference_mode()
    def predict(self, state: ModelState, action: Tensor) -> Mixture:
        """Returns one Gaussian, as wide as the errors on validation data."""
        before = state["observation"]
        mean = self._outcome(before, self._features(action))
        mean[:, :-1] += before
        std = self._std.expand_as(mean)
        share = torch.zeros(len(mean), 1, device=self.device)
        return Mixture(share, mean[:, None], std[:, None]).widened(self._noise_scale)


def content_of(model: MLPModel) -> tuple[MLPConfig, dict[str, Tensor]]:
    weights = weights_to_tensors(model.network)
    return model.config, weights | model.normalisers.to_tensors()


def rebuild(trained: Trained, config: MLPConfig, tensors: Mapping[str, Tensor], options: LoadOptions) -> MLPModel:
    network = MLPNetwork(trained.spec, config, torch.Generator())
    network.load_state_dict(weights_from(tensors))
    return MLPModel(trained, config, network, normalisers_from(tensors), options)
