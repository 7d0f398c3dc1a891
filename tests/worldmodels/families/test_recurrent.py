from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import Tensor, nn

from envs.errors import InputError
from envs.log_writer import LogWriter
from envs.logs import Episode, Log, open_log
from envs.record import record
from envs.spec import EnvSpec, spec_of
from envs.world_model import ModelState, index_state, repeat_state
from experiments.behaviours import make_behaviour
from worldmodels.configs import EnsembleConfig, FitConfig, MLPConfig, RecurrentConfig
from worldmodels.families.recurrent import Recurrent, RecurrentParts
from worldmodels.families.recurrent_learning import RecurrentLearning
from worldmodels.families.recurrent_network import RecurrentNetwork
from worldmodels.features import num_action_features
from worldmodels.filtering import filtered_states, filtered_transitions
from worldmodels.normaliser import Normaliser, Normalisers, identity_normaliser
from worldmodels.prediction import Mixture
from worldmodels.saved_model import LoadOptions, SavedWorldModel, Trained
from worldmodels.starts import StartPoints, Starts
from worldmodels.training.fit import fit_model
from worldmodels.training.split import split_episodes

BUTTONS, FORCE = spaces.Discrete(3, start=-1), spaces.Box(-1, 1, (2,), np.float32)
SMALL = {"memory_size": 6, "hidden": (8,), "termination_hidden": (8,)}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def spec_with(actions: spaces.Space, bound: float = 2.0) -> EnvSpec:
    return EnvSpec("Toy-v0", spaces.Box(-bound, bound, (3,), np.float32), actions, max_episode_steps=50)


def untrained(config: RecurrentConfig, spec: EnvSpec, termination_weight: float = 1.0) -> Recurrent:
    """A model with random weights, normalisers and noise scale."""
    generator = seeded()

    def normaliser(size: int) -> Normaliser:
        return Normaliser(torch.randn(size, generator=generator) * 0.1, torch.rand(size, generator=generator) + 0.5)

    one_hot = isinstance(spec.action_space, spaces.Discrete)
    actions = identity_normaliser(3) if one_hot else normaliser(num_action_features(spec))
    normalisers = Normalisers(normaliser(3), actions, normaliser(4))
    network = RecurrentNetwork(spec, config, generator)
    network.termination_weight.fill_(termination_weight)
    nowhere = StartPoints(torch.zeros(0))
    trained = Trained(spec, Starts(nowhere, nowhere), torch.rand(4, generator=generator) + 0.5)
    return Recurrent(trained, RecurrentParts(config, network, normalisers))


def some_actions(space: spaces.Space, num_steps: int, num_rows: int) -> tuple[Tensor, Tensor]:
    """Returns actions ``[T, B, *A]`` and their features ``[T, B, A]``."""
    if isinstance(space, spaces.Discrete):
        action = torch.randint(-1, 2, (num_steps, num_rows), generator=seeded(2))
        return action, nn.functional.one_hot(action + 1, 3).float()
    action = torch.rand((num_steps, num_rows, 2), generator=seeded(2)) * 2 - 1
    return action, action


def followed(model: Recurrent, observations: Tensor, actions: Tensor) -> list[ModelState]:
    """The states along ``observations`` ``[T, B, D]``."""
    states = [model.encode(observations[0])]
    for observation, action in zip(observations[1:], actions[:-1], strict=True):
        states.append(model.encode(observation, states[-1], action))
    return states


@pytest.mark.parametrize("actions", [BUTTONS, FORCE], ids=["discrete", "box"])
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_following_is_torchs_network_run_over_the_sequence(cell: str, actions: spaces.Space) -> None:
    model = untrained(RecurrentConfig(cell, **SMALL), spec_with(actions))
    observations = torch.rand((12, 5, 3), generator=seeded(1))
    action, features = some_actions(actions, 12, 5)
    states = followed(model, observations, action)

    normalisers = model.parts.normalisers
    change = torch.cat((torch.zeros(1, 5, 3), observations.diff(dim=0)))
    change = (change - normalisers.target.mean[:3]) / normalisers.target.std[:3]
    normalised = normalisers.observation.normalise(observations), change, normalisers.action.normalise(features)
    reference = (nn.GRU if cell == "gru" else nn.LSTM)(6 + features.shape[-1], 6)
    reference.load_state_dict(model.parts.network.dynamics.memory.state_dict())
    with torch.no_grad():
        outputs, last = reference(torch.cat(normalised, dim=-1))
    assert (states[0]["hidden"] == 0).all()
    for before, state in zip(outputs[:-1], states[1:], strict=True):
        torch.testing.assert_close(state["hidden"], before)
    imagined = model.step(states[-1], action[-1])
    torch.testing.assert_close(imagined.state["hidden"], outputs[-1])
    if cell == "lstm":
        assert (states[0]["cell"] == 0).all()
        torch.testing.assert_close(imagined.state["cell"], last[1][0])


@pytest.mark.parametrize("components", [1, 3])
@pytest.mark.parametrize("judged", ["next", "transition"])
def test_step_and_prediction_are_the_formula_written_out(judged: str, components: int) -> None:
    config = RecurrentConfig("lstm", num_components=components, termination_inputs=judged, **SMALL)
    model = untrained(config, spec_with(FORCE), termination_weight=4.0)
    network, normalisers = model.parts.network, model.parts.normalisers
    observations = torch.rand((4, 5, 3), generator=seeded(1))
    action, _ = some_actions(FORCE, 4, 5)
    state = followed(model, observations, action)[-1]
    imagined, predicted = model.step(state, action[-1]), model.predict(state, action[-1])

    with torch.no_grad():
        target, here = normalisers.target, observations[-1]
        change = (here - observations[-2] - target.mean[:3]) / target.std[:3]
        place, push = normalisers.observation.normalise(here), normalisers.action.normalise(action[-1])
        raw = network.dynamics.mixture(torch.cat((imagined.state["hidden"], place, change, push), 1)[None])[0]
        share = raw[:, :components].softmax(1)
        mean = raw[:, components : 5 * components].view(5, components, 4) * target.std + target.mean
        bounds = network.dynamics.min_log_variance, network.dynamics.max_log_variance
        high = bounds[1] - nn.functional.softplus(bounds[1] - raw[:, 5 * components :].view(5, components, 4))
        variance = (bounds[0] + nn.functional.softplus(high - bounds[0])).exp() * target.std**2
        centre = (share[..., None] * mean).sum(1)
        deviation = (share[..., None] * (variance + mean**2)).sum(1).sub(centre**2).sqrt()
        likely = mean[torch.arange(5), share.argmax(1)]
        after = (here + likely[:, :3]).clamp(-2, 2)
        ending = normalisers.observation.normalise(after)
        if judged == "transition":
            ending = torch.cat((ending, (after - here - target.mean[:3]) / target.std[:3], push), 1)
        odds = network.termination(ending[None])[0, :, 0].exp() / 4.0
    torch.testing.assert_close(imagined.observation, after)
    torch.testing.assert_close(imagined.reward, likely[:, 3])
    torch.testing.assert_close(imagined.continuation, 1 / (1 + odds))
    scale = model.trained.noise_scale
    torch.testing.assert_close(imagined.noise, (deviation / target.std * scale).mean(1))
    assert (imagined.uncertainty == 0).all()
    torch.testing.assert_close(imagined.state["change"], after - here)

    base = torch.cat((here, torch.zeros(5, 1)), 1)
    torch.testing.assert_close(predicted.log_weight.exp(), share)
    torch.testing.assert_close(predicted.std, scale * variance.sqrt())
    torch.testing.assert_close(predicted.mean, (base + centre)[:, None] + scale * (mean - centre[:, None]))


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_draws_have_the_moments_of_the_prediction(cell: str) -> None:
    config = RecurrentConfig(cell, num_components=2, memory_size=6, hidden=(8,), log_variance_bounds=(-4.0, -3.0))
    model = untrained(config, spec_with(BUTTONS, bound=np.inf))
    with torch.no_grad():  # components that lie well apart, of unequal shares
        model.parts.network.dynamics.mixture.biases[-1][0, 0, :10] = torch.tensor([0, 1, 3, 3, 3, 3, -3, -3, -3, -3.0])
    model = Recurrent(model.trained, model.parts)
    state, action = model.encode(torch.full((1, 3), 0.3)), torch.ones(1, dtype=torch.int64)
    imagined = model.step(repeat_state(state, 40_000), action.repeat(40_000), seeded(0))
    drawn = torch.cat((imagined.observation, imagined.reward[:, None]), 1)
    predicted = model.predict(state, action)
    second = (predicted.log_weight.exp()[..., None] * (predicted.std**2 + predicted.mean**2)).sum(1)
    deviation = (second - predicted.average() ** 2).sqrt()[0]
    torch.testing.assert_close(drawn.std(0), deviation, rtol=0.02, atol=0)
    torch.testing.assert_close(drawn.mean(0), predicted.average()[0], rtol=0, atol=0.02 * float(deviation.max()))
    upper = drawn > predicted.average()
    together = (upper == upper[:, :1]).all(1).float().mean()
    assert together > 0.99  # a component is a whole outcome, not one of each number


def test_a_state_before_comes_with_its_action() -> None:
    model = untrained(RecurrentConfig(**SMALL), spec_with(BUTTONS))
    state = model.encode(torch.zeros(2, 3))
    with pytest.raises(InputError, match="expected the action that was done"):
        model.encode(torch.zeros(2, 3), state)
    with pytest.raises(InputError, match=r"\[B, 3\], got \[3\]"):
        model.encode(torch.zeros(3))
    with pytest.raises(InputError, match="no propagation for the recurrent model"):
        Recurrent(model.trained, model.parts, LoadOptions("ts1"))


def test_making_a_network_leaves_torchs_own_generator_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    first, second = (RecurrentNetwork(spec_with(BUTTONS), RecurrentConfig(**SMALL), seeded(1)) for _ in range(2))
    assert torch.equal(torch.rand(3), expected)
    weights = first.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in second.state_dict().items())
    assert weights["dynamics.memory.weight_hh_l0"].abs().max() <= 6**-0.5
    assert weights["dynamics.memory.weight_hh_l0"].std() > 0.5 * (6 * 3) ** -0.5


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"cell": "rnn"}, "cell to be one of gru, lstm, got 'rnn'"),
        ({"memory_size": 0}, "memory_size of at least 1"),
        ({"num_components": 0}, "num_components of at least 1"),
        ({"hidden": ()}, "hidden of one or more widths"),
        ({"burn_in": 32}, "0 <= burn_in < window"),
        ({"learning_rate": 0.0}, "learning_rate above 0"),
        ({"termination_inputs": "memory"}, "termination_inputs to be one of next, transition"),
        ({"log_variance_bounds": (1.0, 1.0)}, "low < high"),
    ],
)
def test_settings_out_of_range_are_told(settings: dict, named: str) -> None:
    with pytest.raises(InputError, match=named):
        RecurrentConfig(**settings)


def test_a_bootstrap_is_refused(linear_log: Log) -> None:
    with pytest.raises(InputError, match="expected bootstrap off for a recurrent model"):
        fit_model(linear_log, RecurrentConfig(**SMALL), FitConfig(bootstrap=True), progress=None)


MakeEpisode = Callable[[np.random.Generator], tuple[np.ndarray, np.ndarray, np.ndarray]]


def write_log(path: Path, actions: spaces.Space, num_episodes: int, make_episode: MakeEpisode) -> Log:
    """Writes episodes of observations ``[T+1, 1]``, actions ``[T, *A]`` and rewards ``[T]``."""
    spec = EnvSpec("Toy-v0", spaces.Box(-np.inf, np.inf, (1,), np.float32), actions, max_episode_steps=100)
    random = np.random.default_rng(0)
    with LogWriter(path, spec, {"kind": "test"}) as writer:
        for _ in range(num_episodes):
            observations, done, rewards = make_episode(random)
            writer.add(Episode(observations.astype(np.float32), done, rewards.astype(np.float32), False, True))
    return open_log(path)


def test_the_loss_is_that_of_filtered_predictions(tmp_path: Path) -> None:
    """What training sees in windows is what following the log gives, also for episodes shorter than a window."""
    lengths = iter([3, 14, 9, 1, 12, 2] * 5)

    def episode(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        steps = next(lengths)
        return random.normal(size=(steps + 1, 1)), random.uniform(-1, 1, (steps, 2)), random.normal(size=steps)

    log = write_log(tmp_path / "log", FORCE, 30, episode)
    for components in (1, 2):
        config, fit = RecurrentConfig(num_components=components, window=20, burn_in=4, **SMALL), FitConfig(seed=1)
        split = split_episodes(log.lengths, fit)
        learning = RecurrentLearning(log, split, config, fit)
        (batch,) = learning.validation_batches
        assert learning.num_rows(batch) == log.lengths[split.validation].sum()
        nowhere = StartPoints(torch.zeros(0))
        model = learning.finish({}, Trained(log.spec, Starts(nowhere, nowhere), torch.ones(2)))
        held_out = filtered_transitions(model, log, split.validation, 1000, 0)
        predicted = model.predict(held_out.state, held_out.action)
        std = learning.normalisers.target.std
        if components == 1:
            error = ((predicted.average() - held_out.target) / std).square().mean()
        else:
            error = (-(predicted.log_prob(held_out.target) + std.log().sum()).mean() / 2).exp()
        torch.testing.assert_close(learning.errors(batch)["dynamics"], error[None], rtol=1e-5, atol=0)


def reward_errors(model: SavedWorldModel, log: Log) -> np.ndarray:
    """Root mean square error ``[20]`` of the imagined reward at each step of episodes imagined whole."""
    episodes = [log.episode(int(index)) for index in model.trained.provenance["test_episodes"]]
    observations, actions = (np.stack([getattr(e, name) for e in episodes], 1) for name in ("observations", "actions"))
    state, errors = model.encode(torch.from_numpy(observations[0])), []
    for action, rewards in zip(torch.from_numpy(actions), np.stack([e.rewards for e in episodes], 1), strict=True):
        imagined = model.step(state, action)
        state = imagined.state
        errors.append(np.sqrt(np.square(imagined.reward.numpy() - rewards).mean()))
    return np.array(errors)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_a_reward_for_the_action_two_steps_ago_is_learned_and_imagined(tmp_path: Path, cell: str) -> None:
    def episode(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        actions = random.integers(2, size=20)
        return np.zeros((21, 1)), actions, np.concatenate(([0, 0], 2.0 * actions[:-2] - 1))

    log = write_log(tmp_path / "log", spaces.Discrete(2), 100, episode)
    fit = FitConfig(num_updates=300, validate_every=100)
    config = RecurrentConfig(cell, memory_size=16, hidden=(16,), window=12, burn_in=4)
    remembers = fit_model(log, config, fit, progress=None)
    assert reward_errors(remembers, log).max() < 0.1
    forgets = fit_model(log, MLPConfig(hidden=(16,)), fit, progress=None)
    assert reward_errors(forgets, log)[2:].min() > 0.8  # the rewards' own standard deviation is 1


def log_density(change: Tensor, reward: Tensor, share: float = 0.3) -> Tensor:
    """Of the jumps below, to which a reward of the same sign belongs; both with Gaussian noise of 0.1."""
    each = [
        -0.5 * (((change - side) / 0.1) ** 2 + ((reward - side) / 0.1) ** 2) - np.log(2 * np.pi * 0.01)
        for side in (-1, 1)
    ]
    return torch.logaddexp(each[0] + np.log(share), each[1] + np.log(1 - share))


def test_two_components_represent_two_outcomes_where_a_gaussian_cannot(tmp_path: Path) -> None:
    def episode(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        side = np.where(random.random(20) < 0.3, -1.0, 1.0)
        jumps, rewards = (side + 0.1 * random.normal(size=20) for _ in range(2))
        return np.concatenate(([0.0], np.cumsum(jumps)))[:, None], np.zeros((20, 1)), rewards

    log = write_log(tmp_path / "log", spaces.Box(-1, 1, (1,), np.float32), 100, episode)
    steps = log.transitions()
    target = torch.from_numpy(np.concatenate((steps.next_observation, steps.reward[:, None]), axis=1))
    best = log_density(target[:, 0] - torch.from_numpy(steps.observation[:, 0]), target[:, 1]).mean()
    fit, settings = FitConfig(num_updates=400, validate_every=100), {"memory_size": 8, "window": 12, "burn_in": 4}
    lacking = {}
    for components in (1, 2):
        model = fit_model(log, RecurrentConfig(num_components=components, **settings), fit, progress=None)
        state, action = filtered_states(model, steps, log.lengths), torch.from_numpy(steps.action)
        predicted = model.predict(state, action)
        assert isinstance(predicted, Mixture)
        lacking[components] = float(best - predicted.log_prob(target).mean())
    assert abs(lacking[2]) < 0.1
    assert lacking[1] > 2.0
    low, high = predicted.log_weight.exp().mean(0).sort().values.tolist()
    np.testing.assert_allclose((low, high), (0.3, 0.7), atol=0.05)

    drawn = model.step(state, action, seeded())
    change = drawn.observation[:, 0] - torch.from_numpy(steps.observation[:, 0])
    np.testing.assert_allclose((change > 0).float().mean().item(), 0.7, atol=0.05)
    assert ((change > 0) == (drawn.reward > 0)).float().mean() > 0.999
    np.testing.assert_allclose((change.abs() - 1).std().item(), 0.1, rtol=0.2)
    likely = model.step(state, action).observation[:, 0] - torch.from_numpy(steps.observation[:, 0])
    np.testing.assert_allclose(likely.numpy(), 1.0, atol=0.15)


def open_loop_error(model: SavedWorldModel, log: Log, horizon: int = 25, seen: int = 5) -> float:
    """Root mean square error after ``horizon`` steps, from every held-out step after ``seen`` real ones."""
    episodes = np.array(model.trained.provenance["test_episodes"])
    steps, lengths = log.transitions(episodes), log.lengths[episodes]
    first = np.repeat(np.cumsum(lengths) - lengths, lengths)
    position = np.arange(lengths.sum()) - first
    rows = np.flatnonzero((position >= seen) & (position + horizon <= np.repeat(lengths, lengths)))
    state = index_state(filtered_states(model, steps, lengths), torch.from_numpy(rows))
    for k in range(horizon):
        imagined = model.step(state, torch.from_numpy(steps.action[rows + k]))
        state = imagined.state
    away = (imagined.observation.numpy() - steps.next_observation[rows + horizon - 1]) / steps.observation.std(0)
    return float(np.sqrt(np.square(away).mean()))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "cell", "components"), [("CartPole", "gru", 5), ("Pendulum", "lstm", 1)])
def test_it_imagines_what_a_perceptron_cannot_with_hidden_velocities(
    tmp_path: Path, name: str, cell: str, components: int
) -> None:
    env_id = f"simulacra/PositionOnly{name}-v1"
    log = record(make_behaviour("mixed", spec_of(env_id)), env_id, 10_000, 0, tmp_path / "log")
    config = RecurrentConfig(cell, num_components=components)
    remembers = open_loop_error(fit_model(log, config, FitConfig(num_updates=2000), progress=None), log)
    perceptrons = EnsembleConfig(num_members=3)
    forgets = open_loop_error(fit_model(log, perceptrons, FitConfig(num_updates=1000), progress=None), log)
    assert remembers < 0.12 * forgets, (remembers, forgets)
