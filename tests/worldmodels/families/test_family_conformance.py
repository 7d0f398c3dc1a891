"""What every family of world models must do. A family joins with a line in `CASES` for each kind of space it models."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import Tensor

from envs.errors import InputError
from envs.log_writer import LogWriter
from envs.logs import Episode, Log, open_log
from envs.spec import EnvSpec
from envs.world_model import (
    Imagined,
    ModelState,
    SequenceModel,
    imagine_by_steps,
    index_state,
    join_states,
    num_rows,
    repeat_state,
    where_state,
)
from planners.configs import PLANNERS
from planners.planner_policy import make_planner
from worldmodels.configs import (
    CategoricalConfig,
    EnsembleConfig,
    FactoredConfig,
    FitConfig,
    MLPConfig,
    RecurrentConfig,
)
from worldmodels.families.ensemble import Ensemble
from worldmodels.families.table import FAMILIES
from worldmodels.prediction import Categorical, Mixture
from worldmodels.saved_model import LoadOptions, SavedWorldModel
from worldmodels.saving import load_model, save_model
from worldmodels.training.fit import fit_model

BUTTONS, FORCE = spaces.Discrete(3, start=-1), spaces.Box(-1, 1, (2,), np.float32)
VECTOR = spaces.Box(-3, 10, (3,), np.float32)
ROOMS = spaces.Discrete(7, start=-2)
NARROW = {"hidden": (8,), "termination_hidden": (8,)}
FIT = FitConfig(num_updates=30, validate_every=15, batch_size=64)


@dataclass(frozen=True)
class Case:
    """A family on one kind of spaces; ``samples`` says whether a generator makes a difference."""

    config: Any
    observations: spaces.Space
    actions: spaces.Space
    samples: bool = True


CASES = {
    "mlp-discrete": Case(MLPConfig(**NARROW), VECTOR, BUTTONS, samples=False),
    "mlp-box": Case(MLPConfig(termination_inputs="transition", **NARROW), VECTOR, FORCE, samples=False),
    "factored-discrete": Case(FactoredConfig(reward_hidden=(8,), **NARROW), VECTOR, BUTTONS),
    "factored-box": Case(FactoredConfig(reward_hidden=(8,), termination_inputs="transition", **NARROW), VECTOR, FORCE),
    "ensemble-mean": Case(EnsembleConfig(num_members=2, **NARROW), VECTOR, BUTTONS),
    "ensemble-ts1": Case(EnsembleConfig(num_members=3, propagation="ts1", **NARROW), VECTOR, FORCE),
    "ensemble-tsinf": Case(EnsembleConfig(num_members=3, propagation="tsinf", **NARROW), VECTOR, FORCE),
    "recurrent-gru": Case(RecurrentConfig("gru", memory_size=8, window=8, burn_in=2, **NARROW), VECTOR, BUTTONS),
    "recurrent-lstm": Case(
        RecurrentConfig("lstm", memory_size=8, num_components=2, window=8, burn_in=2, **NARROW), VECTOR, FORCE
    ),
    "categorical": Case(CategoricalConfig(num_members=2, reward_hidden=(8,), **NARROW), ROOMS, BUTTONS),
}

of_vectors = pytest.mark.parametrize(
    "fitted", [name for name, case in CASES.items() if case.observations is VECTOR], indirect=True
)


@dataclass(frozen=True)
class Fitted:
    """A model of a case, fresh from training, and the log that it was trained on."""

    case: Case
    model: SavedWorldModel
    log: Log

    def rows(self, count: int) -> tuple[ModelState, Tensor]:
        """Returns states and actions of the first ``count`` logged steps."""
        steps = self.log.transitions()
        return self.model.encode(torch.from_numpy(steps.observation[:count])), torch.from_numpy(steps.action[:count])


def write_log(path: Path, case: Case, wall: float = 1.5) -> Log:
    """30 episodes of at most 15 steps that wander, end beyond a wall, and have one number that never changes."""
    spec = EnvSpec("Toy-v0", case.observations, case.actions, max_episode_steps=15)
    random = np.random.default_rng(0)
    case.actions.seed(0)
    with LogWriter(path, spec, {"kind": "test"}) as writer:
        for _ in range(30):
            actions = np.stack([case.actions.sample() for _ in range(15)])
            places = np.cumsum(random.normal(size=16) * 0.5)
            num_steps = int(np.argmax(places[1:] > wall)) + 1 if (places[1:] > wall).any() else 15
            places, actions = places[: num_steps + 1], actions[:num_steps]
            rewards = (places[1:] + actions.reshape(num_steps, -1).sum(1)).astype(np.float32)
            terminated = bool(places[-1] > wall)
            writer.add(Episode(observed(case, places), actions, rewards, terminated, not terminated))
    return open_log(path)


def observed(case: Case, places: np.ndarray) -> np.ndarray:
    if isinstance(case.observations, spaces.Discrete):
        return np.clip(np.round(places * 2), -2, 4).astype(np.int64)
    columns = (places, -(places**2) / 2, np.full(len(places), 7.0))
    return np.clip(np.stack(columns, axis=1), case.observations.low, case.observations.high).astype(np.float32)


@pytest.fixture(scope="module", params=CASES)
def fitted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    case = CASES[request.param]
    log = write_log(tmp_path_factory.mktemp("logs") / "log", case)
    return Fitted(case, fit_model(log, case.config, FIT, progress=None), log)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def columns_of(imagined: Imagined) -> dict[str, Tensor]:
    """All that a step gave, each ``[B, ...]``."""
    rest = {name: value for name, value in vars(imagined).items() if name != "state"}
    return {**rest, **{f"state.{name}": value for name, value in imagined.state.items()}}


def same(one: Imagined, other: Imagined, compare: Callable[[Tensor, Tensor], Any] = torch.equal) -> bool:
    ours, theirs = columns_of(one), columns_of(other)
    assert ours.keys() == theirs.keys()
    return all(compare(ours[name], theirs[name]) for name in ours)


def near(one: Imagined, other: Imagined) -> bool:
    """As close as two orders of summing the same numbers are."""
    return same(one, other, lambda left, right: bool(torch.isclose(left, right, rtol=1e-4, atol=1e-5).all()))


def test_every_family_is_here() -> None:
    assert {type(case.config) for case in CASES.values()} == {family.config_type for family in FAMILIES.values()}


@pytest.mark.parametrize("generator_seed", [None, 0])
@pytest.mark.parametrize("count", [1, 40])
def test_a_step_is_inside_the_spaces(fitted: Fitted, count: int, generator_seed: int | None) -> None:
    state, action = fitted.rows(count)
    imagined = fitted.model.step(state, action, None if generator_seed is None else seeded(generator_seed))
    space = fitted.case.observations
    assert imagined.observation.numpy().dtype == space.dtype
    assert all(row in space for row in imagined.observation.numpy())
    for value in (imagined.reward, imagined.continuation, imagined.uncertainty, imagined.noise):
        assert value.dtype == torch.float32
        assert value.shape == (count,)
        assert value.isfinite().all()
    assert ((imagined.continuation >= 0) & (imagined.continuation <= 1)).all()
    assert (imagined.uncertainty >= 0).all()
    assert (imagined.noise >= 0).all()
    assert imagined.state.keys() == state.keys()
    assert all(imagined.state[name].shape == value.shape for name, value in state.items())


def test_a_step_changes_nothing_that_it_was_given(fitted: Fitted) -> None:
    state, action = fitted.rows(5)
    before, asked = {name: value.clone() for name, value in state.items()}, action.clone()
    fitted.model.step(state, action, seeded())
    fitted.model.predict(state, action)
    assert all(torch.equal(state[name], before[name]) for name in state)
    assert torch.equal(action, asked)


def test_without_a_generator_a_batch_is_a_loop_over_rows(fitted: Fitted) -> None:
    state, action = fitted.rows(9)
    together = columns_of(fitted.model.step(state, action))
    for row in range(9):
        one = slice(row, row + 1)
        alone = columns_of(fitted.model.step(index_state(state, one), action[one]))
        for name, values in together.items():
            torch.testing.assert_close(alone[name], values[one], rtol=1e-4, atol=1e-5)


def test_a_row_depends_on_no_other_row(fitted: Fitted) -> None:
    state, action = fitted.rows(20)
    others, doing = fitted.rows(40)
    kept = torch.tensor([0, 7, 13])
    stays = torch.zeros(20, dtype=torch.bool).index_fill(0, kept, True)
    mixed = where_state(stays, state, index_state(others, slice(20, 40)))
    done = where_state(stays, {"action": action}, {"action": doing[20:40]})["action"]
    one, other = (fitted.model.step(s, a, seeded(3)) for s, a in ((state, action), (mixed, done)))
    other_columns = columns_of(other)
    for name, value in columns_of(one).items():
        assert torch.equal(value[kept], other_columns[name][kept]), name


def test_what_is_drawn_follows_from_the_generator(fitted: Fitted) -> None:
    state, action = fitted.rows(40)
    one, again, other = (fitted.model.step(state, action, seeded(seed)) for seed in (0, 0, 1))
    assert same(one, again)
    assert same(one, other) is not fitted.case.samples
    assert same(one, fitted.model.step(state, action)) is not fitted.case.samples


def test_states_are_indexed_repeated_and_joined(fitted: Fitted) -> None:
    state, action = fitted.rows(6)
    imagined = fitted.model.step(state, action)
    order = torch.tensor([5, 0, 3])
    halves = join_states([index_state(state, slice(0, 2)), index_state(state, slice(2, 6))])
    assert near(fitted.model.step(halves, action), imagined)
    twice = fitted.model.step(repeat_state(state, 2), action.repeat_interleave(2, dim=0))
    chosen = fitted.model.step(index_state(state, order), action[order])
    for name, value in columns_of(imagined).items():
        torch.testing.assert_close(columns_of(chosen)[name], value[order], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(columns_of(twice)[name][1::2], value, rtol=1e-4, atol=1e-5)
    assert num_rows(fitted.model.step(imagined.state, action).state) == 6


def test_encoding_goes_on_from_a_state(fitted: Fitted) -> None:
    state, action = fitted.rows(6)
    imagined = fitted.model.step(state, action)
    observed_next = fitted.model.encode(imagined.observation, state, action)
    assert observed_next.keys() == state.keys()
    assert near(fitted.model.step(observed_next, action), fitted.model.step(imagined.state, action))


def test_a_start_point_gives_the_state_back(fitted: Fitted) -> None:
    state, action = fitted.rows(6)
    later = fitted.model.step(state, action)
    found = fitted.model.recall(later.observation, fitted.model.memory(later.state))
    assert near(fitted.model.step(found, action), fitted.model.step(later.state, action))


def test_a_saved_model_steps_as_before(fitted: Fitted, tmp_path: Path) -> None:
    save_model(fitted.model, tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    assert type(loaded) is type(fitted.model)
    assert loaded.trained.provenance["log_sha256"] == fitted.log.sha256
    assert torch.equal(loaded.trained.noise_scale, fitted.model.trained.noise_scale)
    assert torch.equal(loaded.trained.uncertainty_levels, fitted.model.trained.uncertainty_levels)
    state, action = fitted.rows(20)
    for seed in (0, 1):
        assert same(loaded.step(state, action, seeded(seed)), fitted.model.step(state, action, seeded(seed)))
    starts, loaded_starts = fitted.model.trained.starts, loaded.trained.starts
    for ours, theirs in ((starts.any, loaded_starts.any), (starts.initial, loaded_starts.initial)):
        assert torch.equal(ours.observation, theirs.observation)
        assert ours.memory.keys() == theirs.memory.keys()


def test_what_is_predicted_is_a_distribution(fitted: Fitted) -> None:
    state, action = fitted.rows(25)
    predicted = fitted.model.predict(state, action)
    mixture = predicted
    if isinstance(predicted, Categorical):
        assert predicted.probability.shape == (25, fitted.case.observations.n)
        torch.testing.assert_close(predicted.probability.sum(1), torch.ones(25))
        mixture = predicted.reward
    assert isinstance(mixture, Mixture)
    torch.testing.assert_close(mixture.log_weight.exp().sum(1), torch.ones(25))
    num_outputs = 1 if isinstance(predicted, Categorical) else fitted.case.observations.shape[0] + 1
    assert mixture.mean.shape == mixture.std.shape == (25, mixture.log_weight.shape[1], num_outputs)
    assert mixture.mean.isfinite().all()
    assert (mixture.std >= 0).all()
    assert mixture.log_prob(mixture.average()).isfinite().all()


def test_the_likely_outcome_is_the_mean_or_a_peak_of_what_is_predicted(fitted: Fitted) -> None:
    trained = fitted.model.trained
    model = fitted.model.with_trained(replace(trained, noise_scale=torch.ones_like(trained.noise_scale)))
    state, action = fitted.rows(25)
    predicted, imagined = model.predict(state, action), model.step(state, action)
    if isinstance(predicted, Categorical):
        assert torch.equal(predicted.probability.argmax(1) + fitted.case.observations.start, imagined.observation)
        return
    expected = torch.cat((predicted.average()[:, None], predicted.mean), dim=1)[..., :-1]
    expected = expected.clamp(torch.from_numpy(VECTOR.low), torch.from_numpy(VECTOR.high))
    away = (expected - imagined.observation[:, None]).abs().amax(2).amin(1)
    assert (away < 1e-4).all()


@of_vectors
def test_a_number_that_never_changed_stays(fitted: Fitted) -> None:
    state, action = fitted.rows(25)
    assert (fitted.model.step(state, action, seeded()).observation[:, 2] == 7).all()
    predicted = fitted.model.predict(state, action)
    assert isinstance(predicted, Mixture)
    assert (predicted.std[..., 2] == 0).all()
    assert (predicted.std[..., [0, 1, 3]] > 0).all()
    assert fitted.model.trained.noise_scale[2] == 1


def test_what_training_measured_is_carried(fitted: Fitted) -> None:
    trained = fitted.model.trained
    assert trained.uncertainty_levels.isfinite().all()
    assert (trained.uncertainty_levels.diff(dim=1) >= 0).all()
    numbers = 0 if fitted.case.observations is ROOMS else 4
    assert trained.noise_scale.shape == (numbers,)
    assert len(trained.starts.initial) == len(trained.provenance["train_episodes"])
    marked = replace(trained, provenance={"mark": 1})
    other = fitted.model.with_trained(marked)
    assert other.trained is marked
    state, action = fitted.rows(5)
    assert same(other.step(state, action, seeded()), fitted.model.step(state, action, seeded()))


@of_vectors
def test_noise_widens_with_its_scale(fitted: Fitted) -> None:
    trained = fitted.model.trained
    wide = fitted.model.with_trained(replace(trained, noise_scale=3 * trained.noise_scale))
    state, action = fitted.rows(25)
    torch.testing.assert_close(wide.step(state, action).noise, 3 * fitted.model.step(state, action).noise)
    ours, theirs = fitted.model.predict(state, action), wide.predict(state, action)
    assert isinstance(ours, Mixture)
    assert isinstance(theirs, Mixture)
    torch.testing.assert_close(theirs.std, 3 * ours.std)


def test_the_same_seed_trains_the_same_model(fitted: Fitted) -> None:
    again = fit_model(fitted.log, fitted.case.config, FIT, progress=None)
    other = fit_model(fitted.log, fitted.case.config, replace(FIT, seed=1), progress=None)
    state, action = fitted.rows(20)
    assert same(again.step(state, action, seeded()), fitted.model.step(state, action, seeded()))
    assert not same(other.step(state, action, seeded()), fitted.model.step(state, action, seeded()))


def test_a_log_without_ends_gives_a_model_without_ends(fitted: Fitted, tmp_path: Path) -> None:
    log = write_log(tmp_path / "log", fitted.case, wall=np.inf)
    save_model(fit_model(log, fitted.case.config, FIT, progress=None), tmp_path / "model")
    model = load_model(tmp_path / "model")
    state, action = fitted.rows(40)
    assert (model.step(state, action, seeded()).continuation == 1).all()


def test_wrong_observations_are_refused(fitted: Fitted) -> None:
    for wrong in (torch.zeros(2, 3, 4), torch.zeros(()), torch.zeros(5, 4)):
        with pytest.raises(InputError, match="expected"):
            fitted.model.encode(wrong)


def test_a_propagation_that_a_family_lacks_is_refused(fitted: Fitted, tmp_path: Path) -> None:
    save_model(fitted.model, tmp_path / "model")
    if isinstance(fitted.case.config, EnsembleConfig):
        assert load_model(tmp_path / "model", LoadOptions("elite"))
        return
    with pytest.raises(InputError, match="ts1"):
        load_model(tmp_path / "model", LoadOptions("ts1"))


@pytest.mark.parametrize("name", CASES)
def test_other_spaces_are_refused_by_name(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    other = spaces.Discrete(5) if case.observations is VECTOR else spaces.Box(0, 1, (3,), np.float32)
    spec = EnvSpec("Toy-v0", other, case.actions)
    with LogWriter(tmp_path / "log", spec, {"kind": "test"}) as writer:
        for _ in range(3):
            places, actions = np.stack([other.sample(), other.sample()]), np.stack([case.actions.sample()])
            writer.add(Episode(places, actions, np.zeros(1, np.float32), False, True))
    with pytest.raises(InputError, match="Toy-v0 has"):
        fit_model(open_log(tmp_path / "log"), case.config, FIT, progress=None)


@pytest.mark.parametrize("name", PLANNERS)
def test_every_planner_that_serves_its_actions_plans_on_it(fitted: Fitted, name: str) -> None:
    small = {"num_simulations": 5} if name == "mcts" else {"num_sequences": 12, "horizon": 4}
    planner, space = make_planner(PLANNERS[name](**small)), fitted.case.actions
    state, _ = fitted.rows(3)
    if name == "gradient" and not isinstance(space, spaces.Box):
        with pytest.raises(InputError, match="gradient expects a bounded Box action space"):
            planner(fitted.model, state, seeded(), None)
        return
    plan = planner(fitted.model, state, seeded(), None)
    assert all(space.contains(action) for action in plan.action.numpy().astype(space.dtype))


def test_sequences_are_imagined_as_step_by_step(fitted: Fitted) -> None:
    """Where a family has a way of its own; without drawing, and where members are followed by each of them alone."""
    model = fitted.model
    state, action = fitted.rows(9)
    actions = torch.stack([action, action.flip(0), action.roll(3, 0), action], dim=1)
    if not isinstance(model, SequenceModel):
        pytest.skip("it is only stepped")
    starts = [(model, state)]
    if isinstance(model, Ensemble):
        lean = Ensemble(model.trained, model.parts, LoadOptions(epistemic=False))
        starts = [(lean, state), (lean, model.follow(state, torch.arange(9) % model.num_members))]
    for one, start in starts:
        whole, steps = one.imagine(start, actions, None, False), imagine_by_steps(one, start, actions, None)
        torch.testing.assert_close(whole.reward, steps.reward, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(whole.continuation, steps.continuation, rtol=1e-4, atol=1e-4)
        assert whole.state.keys() == steps.state.keys()
        for name, value in whole.state.items():
            torch.testing.assert_close(value, steps.state[name], rtol=1e-4, atol=1e-4)


@of_vectors
def test_gradients_go_through_a_step(fitted: Fitted) -> None:
    if not isinstance(fitted.case.actions, spaces.Box):
        pytest.skip("its actions are Discrete")
    state, action = fitted.rows(5)
    state, action = {name: value.clone() for name, value in state.items()}, action.clone().requires_grad_()
    total = fitted.model.step(state, action).reward.sum()
    (slope,) = torch.autograd.grad(total, action)
    for number in range(action.shape[1]):
        nudge = torch.zeros_like(action)
        nudge[:, number] = 1e-2
        up, down = (fitted.model.step(state, (action + sign * nudge).detach()).reward for sign in (1, -1))
        torch.testing.assert_close(slope[:, number], (up - down) / 2e-2, rtol=0.05, atol=1e-3)
