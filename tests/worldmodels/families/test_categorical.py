import math
from dataclasses import dataclass
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from gymnasium import spaces

from envs.errors import InputError
from envs.policy import RandomPolicy
from envs.record import record
from envs.spec import EnvSpec, spec_of
from envs.world_model import repeat_state
from worldmodels.configs import CategoricalConfig, FitConfig
from worldmodels.families.categorical import CategoricalModel
from worldmodels.families.categorical_network import CategoricalNetwork, OneHotMLP, discrete_sizes
from worldmodels.networks import EnsembleMLP
from worldmodels.prediction import Categorical
from worldmodels.saved_model import LoadOptions, Trained
from worldmodels.starts import StartPoints, Starts
from worldmodels.training.fit import fit_model

NOWHERE = StartPoints(torch.zeros(0))
SPEC = EnvSpec("Toy-v0", spaces.Discrete(5, start=-2), spaces.Discrete(3, start=4), max_episode_steps=9)
DISCOUNT = 0.99


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make_model(num_members: int = 2, spec: EnvSpec = SPEC) -> CategoricalModel:
    """Random weights, large enough for clear probabilities."""
    config = CategoricalConfig(num_members, (8,), (4,), (4,))
    network = CategoricalNetwork(spec, config, seeded(0))
    with torch.no_grad():
        for weights in network.parameters():
            weights.mul_(4.0)
    network.termination_weight.fill_(3.0)
    network.reward_mean.fill_(2.0)
    network.reward_std.fill_(5.0)
    network.reward_residual.fill_(0.1)
    return CategoricalModel(Trained(spec, Starts(NOWHERE, NOWHERE), torch.ones(0)), config, network)


def all_pairs(model: CategoricalModel) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Every state with every action, counted as the spaces count."""
    (num_states, num_actions), spec = discrete_sizes(model.spec), model.spec
    states = torch.arange(num_states).repeat_interleave(num_actions) + int(spec.observation_space.start)
    return model.encode(states), torch.arange(num_actions).repeat(num_states) + int(spec.action_space.start)


def test_one_hot_perceptrons_are_perceptrons_on_one_hot_vectors() -> None:
    network = OneHotMLP(3, (5, 2), (8, 6, 4), seeded(0))
    plain = EnsembleMLP(3, (7, 8, 6, 4), seeded(1))
    with torch.no_grad():
        for mine, theirs in zip(plain.weights, (network.table, *network.deeper.weights), strict=True):
            mine.copy_(theirs)
    first, second = torch.randint(5, (3, 10), generator=seeded(2)), torch.randint(2, (3, 10), generator=seeded(3))
    inputs = torch.cat((F.one_hot(first, 5), F.one_hot(second, 2)), dim=2).float()
    torch.testing.assert_close(network(first, second), plain(inputs))
    torch.testing.assert_close(network(first[:1], second[:1]), plain(inputs[:1].expand(3, -1, -1)))


def test_step_and_predict_are_the_formulas_written_out() -> None:
    model = make_model()
    network = model.network
    state, action = all_pairs(model)
    before, done = state["observation"] + 2, action - 4
    both = torch.cat((F.one_hot(before, 5), F.one_hot(done, 3)), dim=1).float()

    def through(net: OneHotMLP, inputs: torch.Tensor) -> torch.Tensor:
        return net.deeper(F.silu(inputs @ net.table))

    with torch.no_grad():
        probability = through(network.transition, both).softmax(-1)
        mean = probability.mean(0)
        after = mean.argmax(1)
        triple = torch.cat((both, F.one_hot(after, 5).float()), dim=1)
        reward = 2 + 5 * through(network.reward, triple).mean(0)[:, 0]
        odds = through(network.termination, triple)[..., 0].exp() / 3
    imagined = model.step(state, action)
    assert torch.equal(imagined.observation, after - 2)
    assert torch.equal(imagined.state["observation"], after - 2)
    torch.testing.assert_close(imagined.reward, reward)
    torch.testing.assert_close(imagined.continuation, (1 / (1 + odds)).mean(0))
    entropies = -(probability * probability.log()).sum(-1)
    total = -(mean * mean.log()).sum(-1)
    torch.testing.assert_close(imagined.noise, entropies.mean(0) / math.log(5))
    torch.testing.assert_close(imagined.uncertainty, (total - entropies.mean(0)) / math.log(5), atol=1e-6, rtol=1e-4)
    assert imagined.uncertainty.max() > 0.01

    predicted = model.predict(state, action)
    assert isinstance(predicted, Categorical)
    torch.testing.assert_close(predicted.probability, mean)
    outcomes = model.outcomes(state, action)
    torch.testing.assert_close(outcomes.probability, mean)
    torch.testing.assert_close(outcomes.reward.gather(1, after[:, None])[:, 0], reward)
    torch.testing.assert_close(outcomes.continuation.gather(1, after[:, None])[:, 0], imagined.continuation)
    torch.testing.assert_close(predicted.reward.average()[:, 0], (mean * outcomes.reward).sum(1))
    torch.testing.assert_close(predicted.reward.std, torch.full_like(predicted.reward.mean, 0.5))


def test_next_states_are_drawn_as_often_as_they_are_probable() -> None:
    model = make_model()
    state, action = all_pairs(model)
    often, doing = repeat_state(state, 20_000), action.repeat_interleave(20_000)
    drawn = model.step(often, doing, seeded(0)).observation.view(-1, 20_000) + 2
    shares = torch.stack([(drawn == place).float().mean(1) for place in range(5)], dim=1)
    torch.testing.assert_close(shares, model.outcomes(state, action).probability, atol=0.02, rtol=0)


def test_what_is_impossible_is_never_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_model()
    with torch.no_grad():
        model.network.transition.deeper.biases[-1][..., [0, 4]] = -1e4
    model = CategoricalModel(model.trained, model.config, model.network)
    state, action = all_pairs(model)
    drawn = model.step(repeat_state(state, 5000), action.repeat_interleave(5000), seeded(0)).observation
    assert set(drawn.tolist()) == {-1, 0, 1}
    for extreme, expected in ((0.0, -1), (1 - 2**-24, 1)):  # the least and the greatest number that torch draws
        monkeypatch.setattr(torch, "rand", lambda *size, extreme=extreme, **_: torch.full(size, extreme))
        assert (model.step(state, action, seeded(0)).observation == expected).all()


def test_one_opinion_is_in_no_doubt() -> None:
    model = make_model(num_members=1)
    assert (model.step(*all_pairs(model)).uncertainty < 1e-6).all()


def test_observations_have_the_dtype_of_the_space() -> None:
    spec = EnvSpec("Toy-v0", spaces.Discrete(5, dtype=np.int32), spaces.Discrete(2), max_episode_steps=9)
    model = make_model(spec=spec)
    for generator in (None, seeded(0)):
        assert (
            model.step(model.encode(torch.arange(5)), torch.ones(5).long(), generator).observation.dtype == torch.int32
        )


def test_places_and_actions_outside_the_spaces_are_refused() -> None:
    model = make_model()
    for outside in (-3, 3):
        with pytest.raises(InputError, match=rf"Discrete\(5, start=-2\), got {outside}"):
            model.encode(torch.tensor([0, outside]))
    with pytest.raises(InputError, match="float32"):
        model.encode(torch.zeros(3))
    for outside in (3, 7):
        with pytest.raises(InputError, match=rf"Discrete\(3, start=4\), got {outside}"):
            model.step(model.encode(torch.tensor([0, 1])), torch.tensor([4, outside]))


def test_spaces_that_are_too_large_are_refused() -> None:
    with pytest.raises(InputError, match="Toy-v0 has 9000 states and 2 actions"):
        discrete_sizes(EnvSpec("Toy-v0", spaces.Discrete(9000), spaces.Discrete(2)))
    with pytest.raises(InputError, match="needs Discrete observations and actions"):
        discrete_sizes(EnvSpec("Toy-v0", spaces.Discrete(9), spaces.Box(0, 1)))


def test_a_propagation_but_the_mean_is_refused() -> None:
    model = make_model()
    assert CategoricalModel(model.trained, model.config, model.network, LoadOptions("mean"))
    with pytest.raises(InputError, match="got tsinf"):
        CategoricalModel(model.trained, model.config, model.network, LoadOptions("tsinf"))


@dataclass(frozen=True)
class Process:
    """A finite Markov decision process: probability, reward and continuation of each step, all ``[N, A, N]``."""

    probability: np.ndarray
    reward: np.ndarray
    continuation: np.ndarray

    def best_actions(self) -> np.ndarray:
        """Returns the greedy actions ``[N]`` of value iteration."""
        value: np.ndarray = np.zeros(len(self.probability))
        gained, onward = (self.probability * self.reward).sum(-1), self.probability * self.continuation
        for _ in range(1500):
            returns = gained + DISCOUNT * onward @ value
            value = returns.max(1)
        best: np.ndarray = returns.argmax(1)
        return best

    def values(self, actions: np.ndarray) -> np.ndarray:
        """Returns the exact discounted return ``[N]`` of doing ``actions`` ``[N]``."""
        rows = np.arange(len(actions))
        probability = self.probability[rows, actions]
        onward = probability * self.continuation[rows, actions]
        return np.linalg.solve(np.eye(len(rows)) - DISCOUNT * onward, (probability * self.reward[rows, actions]).sum(1))


def true_process(env: gymnasium.Env) -> Process:
    """Reads Gymnasium's own table of a toy text environment."""
    sizes = (int(env.observation_space.n), int(env.action_space.n), int(env.observation_space.n))
    probability, reward, continuation = np.zeros(sizes), np.zeros(sizes), np.ones(sizes)
    for state, actions in env.unwrapped.P.items():
        for action, outcomes in actions.items():
            for chance, after, gained, ended in outcomes:
                probability[state, action, after] += chance
                reward[state, action, after] = gained
                continuation[state, action, after] = not ended
    return Process(probability, reward, continuation)


def learned_process(model: CategoricalModel) -> Process:
    """What the model believes; a step ends an episode as it does in the Gymnasium face."""
    state, action = all_pairs(model)
    columns: list[list[np.ndarray]] = [[], [], []]
    for rows in torch.arange(len(action)).split(300):
        found = model.outcomes({"observation": state["observation"][rows]}, action[rows])
        for column, values in zip(columns, found, strict=True):
            column.append(values.numpy())
    num_states, num_actions = discrete_sizes(model.spec)
    shape = (num_states, num_actions, num_states)
    probability, reward, continuation = (np.concatenate(column).reshape(shape) for column in columns)
    return Process(probability.astype(np.float64), reward, continuation >= 0.5)


def judge(env_id: str, num_steps: int, config: CategoricalConfig, fit: FitConfig, path: Path) -> tuple[np.ndarray, ...]:
    """Learns from random steps.

    Returns:
        How often each state and action was visited ``[N, A]``; how far its learned probabilities are from the true
        ones, in total variation ``[N, A]``; what greedy planning on the model is worth from the start, and the best.
    """
    log = record(RandomPolicy(spec_of(env_id)), env_id, num_steps, 0, path)
    model = fit_model(log, config, fit, progress=None)
    assert isinstance(model, CategoricalModel)
    env = gymnasium.make(env_id)
    truth, believed, steps = true_process(env), learned_process(model), log.transitions()
    visits: np.ndarray = np.zeros(truth.probability.shape[:2], np.int64)
    np.add.at(visits, (steps.observation, steps.action), 1)
    distance = np.abs(believed.probability - truth.probability).sum(-1) / 2
    first = np.asarray(env.unwrapped.initial_state_distrib)
    worth = first @ truth.values(believed.best_actions())
    return visits, distance, worth, first @ truth.values(truth.best_actions())


def test_frozen_lake_is_learned_and_planned_on(tmp_path: Path) -> None:
    fit = FitConfig(num_updates=1000)
    visits, distance, worth, best = judge(
        "FrozenLake-v1", 10_000, CategoricalConfig(2, (32, 32)), fit, tmp_path / "log"
    )
    assert (distance * visits).sum() / visits.sum() < 0.05  # of a random step; counting gets 0.028
    assert distance[visits >= 100].max() < 0.15
    assert abs(best - 0.542026) < 1e-6  # exact, the literature's
    assert worth > 0.95 * best


@pytest.mark.slow
def test_taxi_is_learned_and_planned_on(tmp_path: Path) -> None:
    fit = FitConfig(num_updates=900, batch_size=512)
    visits, distance, worth, best = judge("Taxi-v4", 100_000, CategoricalConfig(2, (32, 32)), fit, tmp_path / "log")
    assert (visits > 0).sum() == 2400  # all but the 100 states that end an episode
    assert distance[visits > 0].mean() < 0.01
    assert (distance * visits).sum() / visits.sum() < 0.005
    assert worth > best - 0.1
