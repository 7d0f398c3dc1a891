"""The trivial world models that every report shows beside a learned one.

Vectors: *no change* (the observation stays, the reward is the mean), *linear* (least squares on observation and action)
and *nearest* (what followed the most alike logged step). Discrete observations: `worldmodels.families.tabular`.

They are never saved; `make_baselines` fits all of them to a log's training episodes. Each gives one outcome, no
uncertainty and no noise; the widths of their predicted distributions are their errors on the validation episodes.

Shape legend: ``B`` rows, ``D`` observation dimensions, ``A`` action features, ``Y = D + 1`` predicted numbers (the
next observation, then the reward).
"""

from collections.abc import Callable
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from envs.logs import Log
from envs.spec import EnvSpec
from envs.world_model import Imagined, ModelState
from worldmodels.families.tabular import tabular_baselines
from worldmodels.features import ObservationBounds, make_action_features, vector_space
from worldmodels.normaliser import fit_normaliser
from worldmodels.prediction import Mixture
from worldmodels.saved_model import PredictiveModel
from worldmodels.training.rows import Rows, fit_normalisers, read_rows
from worldmodels.training.split import Split

MAX_NEIGHBOURS = 20_000
"""Training rows that the nearest one is looked for among; more are thinned out evenly."""

_CPU = torch.device("cpu")
_CHUNK = 2_000_000  # distances at once


class Outcome(NamedTuple):
    """What a baseline expects of ``B`` steps: the numbers ``[B, Y]`` and the continuation ``[B]``."""

    numbers: Tensor
    continuation: Tensor


Expect = Callable[[Tensor, Tensor], Outcome]
"""Float32 observations ``[B, D]`` and action features ``[B, A]`` to what is expected."""


class VectorBaseline:
    """A baseline for vector observations (`worldmodels.saved_model.PredictiveModel`), on the CPU.

    Attributes:
        spec: the environment it models.
    """

    remembers: ClassVar[bool] = False
    device = _CPU

    def __init__(self, spec: EnvSpec, expect: Expect, std: Tensor):
        """``std`` ``[Y]`` is the width of the predicted Gaussians."""
        self.spec = spec
        self._expect, self._std = expect, std
        self._features = make_action_features(spec.action_space, _CPU)
        self._bounds = ObservationBounds(vector_space(spec), _CPU)

    def encode(
        self,
        observation: Tensor,
        previous: ModelState | None = None,  # noqa: ARG002, part of the contract
        action: Tensor | None = None,  # noqa: ARG002, part of the contract
    ) -> ModelState:
        return {"observation": observation.float()}

    def step(self, state: ModelState, action: Tensor, generator: torch.Generator | None = None) -> Imagined:  # noqa: ARG002
        """Returns the one outcome that is expected; nothing is drawn."""
        outcome = self._expect(state["observation"], self._features(action))
        observation, reward = self._bounds.apply(outcome.numbers[:, :-1]), outcome.numbers[:, -1]
        nothing = torch.zeros_like(reward)
        return Imagined(
            {"observation": observation.float()}, observation, reward, outcome.continuation, nothing, nothing
        )

    def predict(self, state: ModelState, action: Tensor) -> Mixture:
        mean = self._expect(state["observation"], self._features(action)).numbers[:, None]
        return Mixture(torch.zeros(len(mean), 1), mean, self._std.expand_as(mean))


def make_baselines(log: Log, split: Split) -> dict[str, PredictiveModel]:
    """Returns all baselines for the log's observations by name, fitted to its training episodes.

    Vectors: ``no_change``, ``linear``, ``nearest``. Discrete: ``no_change``, ``most_frequent``.

    Raises:
        InputError: spaces that no family can model.
    """
    spec = log.spec
    if isinstance(spec.observation_space, spaces.Discrete):
        return tabular_baselines(spec, log.transitions(split.train), log.transitions(split.validation))
    rows, held_out = read_rows(log, split.train), read_rows(log, split.validation)
    expected = {
        "no_change": expect_no_change(rows),
        "linear": expect_linear(rows),
        "nearest": expect_nearest(rows, spec),
    }
    return {name: _with_width(spec, expect, held_out) for name, expect in expected.items()}


def _with_width(spec: EnvSpec, expect: Expect, held_out: Rows) -> VectorBaseline:
    some = Rows(*(column[:MAX_NEIGHBOURS] for column in held_out))
    truth = torch.cat((some.observation + some.change, some.reward[:, None]), dim=1)
    errors = expect(some.observation, some.action).numbers - truth
    return VectorBaseline(spec, expect, errors.square().mean(0).sqrt())


def expect_no_change(rows: Rows) -> Expect:
    """Returns the expectation that the observation stays, the reward is its training mean, and nothing ever ends."""
    reward = rows.reward.mean()

    def expect(observation: Tensor, features: Tensor) -> Outcome:  # noqa: ARG001
        ones = torch.ones(len(observation))
        return Outcome(torch.cat((observation, (reward * ones)[:, None]), dim=1), ones)

    return expect


def expect_linear(rows: Rows) -> Expect:
    """Returns the least squares fit of change and reward on observation, action features and one; nothing ever ends.

    Solved in float64 on normalised observations; of equally good fits (one-hot actions and the bias are collinear, and
    so are constant dimensions) the smallest.
    """
    normaliser = fit_normaliser(rows.observation)

    def inputs(observation: Tensor, features: Tensor) -> Tensor:
        ones = torch.ones(len(observation), 1, dtype=torch.float64)
        return torch.cat((normaliser.normalise(observation).double(), features.double(), ones), dim=1)

    known = inputs(rows.observation, rows.action).numpy()
    weight = torch.from_numpy(np.linalg.lstsq(known, rows.target.double().numpy(), rcond=None)[0])

    def expect(observation: Tensor, features: Tensor) -> Outcome:
        numbers = inputs(observation, features) @ weight
        numbers[:, :-1] += observation
        return Outcome(numbers.float(), torch.ones(len(observation)))

    return expect


def expect_nearest(rows: Rows, spec: EnvSpec) -> Expect:
    """Returns the change, reward and end that followed the most alike of the training rows, of equals the first.

    Alike is what lies near in normalised observation and action features (one-hot actions as they are).
    """
    if len(rows.reward) > MAX_NEIGHBOURS:
        kept = torch.linspace(0, len(rows.reward) - 1, MAX_NEIGHBOURS).long()
        rows = Rows(*(column[kept] for column in rows))
    inputs, target = fit_normalisers(rows, spec).inputs, rows.target
    known = inputs.normalise(torch.cat((rows.observation, rows.action), dim=1))

    def expect(observation: Tensor, features: Tensor) -> Outcome:
        asked = inputs.normalise(torch.cat((observation, features), dim=1))
        found = [torch.cdist(part, known).argmin(1) for part in asked.split(max(1, _CHUNK // len(known)))]
        nearest = torch.cat(found) if found else torch.zeros(0, dtype=torch.int64)
        numbers = target[nearest]
        numbers[:, :-1] += observation
        return Outcome(numbers, 1 - rows.terminated[nearest])

    return expect
