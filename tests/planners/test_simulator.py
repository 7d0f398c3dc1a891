from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.envs.classic_control import CartPoleEnv
from gymnasium.utils import EzPickle

from envs.errors import InputError
from envs.world_model import imagine_by_steps, index_state, repeat_state
from planners.configs import MCTSConfig, RandomShootingConfig
from planners.mcts import mcts
from planners.planner_policy import make_planner
from planners.replay import RecordedEnv, make_capture, restore_by_replay
from planners.simulator import SimulatorModel
from planners.snapshots import Snapshot

CONTROL = ["CartPole-v1", "Pendulum-v1", "MountainCar-v0", "MountainCarContinuous-v0", "Acrobot-v1"]
RESTORABLE = [*CONTROL, "CliffWalking-v1", "Taxi-v4"]
MUJOCO = ["Hopper-v5", "Ant-v5", "Humanoid-v5"]


def _make_frozen_lake(slippery: bool) -> Callable[[], gymnasium.Env]:
    return lambda: gymnasium.make("FrozenLake-v1", is_slippery=slippery)


@pytest.mark.parametrize(
    "env", [*RESTORABLE, *MUJOCO, _make_frozen_lake(False)], ids=lambda env: env if isinstance(env, str) else "lake"
)
def test_steps_equal_the_real_environment_bit_for_bit(env: Any) -> None:
    model = SimulatorModel(env)
    lives = [gymnasium.make(env) if isinstance(env, str) else env() for _ in range(3)]
    observations = np.stack([live.reset(seed=i)[0] for i, live in enumerate(lives)])
    state = model.capture(lives, observations)
    lives[0].action_space.seed(0)
    running = np.ones(3, bool)
    for _ in range(30):
        actions = np.stack([np.asarray(lives[0].action_space.sample()) for _ in lives])
        imagined = model.step(state, torch.as_tensor(actions))
        for row in np.flatnonzero(running):
            observation, reward, terminated, _, _ = lives[row].step(actions[row])
            assert imagined.observation[row].numpy().tobytes() == np.asarray(observation).tobytes()
            assert imagined.reward[row] == np.float32(reward)
            assert imagined.continuation[row] == 1 - terminated
            running[row] = not terminated
        state = imagined.state
    assert model.spec.max_episode_steps == lives[0].spec.max_episode_steps


def test_states_can_be_indexed_and_repeated() -> None:
    model = SimulatorModel("CartPole-v1")
    state = model.encode(torch.tensor([[0.0, 0.1, 0.02, 0.3], [1.0, 0.0, 0.0, -0.5]]))
    many = model.step(repeat_state(state, 2), torch.tensor([0, 1, 0, 1]))
    one = model.step(index_state(state, torch.tensor([1])), torch.tensor([1]))
    assert torch.equal(many.observation[3], one.observation[0])
    assert not torch.equal(many.observation[0], many.observation[1])


@pytest.mark.parametrize("env_id", ["CartPole-v1", "Pendulum-v1", "Hopper-v5", "FrozenLake-v1"])
def test_sequences_are_imagined_as_step_by_step(env_id: str) -> None:
    model = SimulatorModel(_make_frozen_lake(False) if env_id == "FrozenLake-v1" else env_id)
    live = gymnasium.make(env_id)
    state = repeat_state(model.capture([live], np.asarray(live.reset(seed=0)[0])[None]), 20)
    live.action_space.seed(0)
    actions = torch.from_numpy(np.array([[live.action_space.sample() for _ in range(40)] for _ in range(20)]))
    whole, steps = model.imagine(state, actions, None, True), imagine_by_steps(model, state, actions, None)
    assert torch.equal(whole.reward, steps.reward)
    assert torch.equal(whole.continuation, steps.continuation)
    assert torch.equal(whole.uncertainty, steps.uncertainty)
    assert all(torch.equal(value, steps.state[name]) for name, value in whole.state.items())
    again, steps = (
        one(whole.state, actions)
        for one in (
            lambda state, actions: model.imagine(state, actions, None, False),
            lambda state, actions: imagine_by_steps(model, state, actions, None),
        )
    )
    assert torch.equal(again.reward, steps.reward)
    assert torch.equal(again.continuation, steps.continuation)


def test_rollouts_of_a_search_are_restored_once_and_counted_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """A simulation steps once into its leaf; what follows is one sequence, whose steps count as calls all the same."""
    model = SimulatorModel("MountainCar-v0")
    steps, lengths = [], []
    step, imagine = SimulatorModel.step, SimulatorModel.imagine
    monkeypatch.setattr(SimulatorModel, "step", lambda *given: steps.append(1) or step(*given))
    monkeypatch.setattr(SimulatorModel, "imagine", lambda *given: lengths.append(given[2].shape) or imagine(*given))
    config = MCTSConfig(num_simulations=10, num_rollouts=2, rollout_hold=1, horizon=6, horizon_from="leaf", fused=False)
    found = mcts(model, model.encode(torch.tensor([[-0.5, 0.0]])), config, torch.Generator().manual_seed(0))
    assert (len(steps), lengths) == (10, [(2, 6)] * 11)
    assert found.statistics.model_calls == 10 + 11 * 6
    assert found.statistics.model_steps == 10 + 11 * 6 * 2


def test_an_ended_row_stays_where_it_is() -> None:
    model = SimulatorModel("CartPole-v1")
    state = model.encode(torch.tensor([[2.39, 3.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]))
    first = model.step(state, torch.tensor([1, 1]))
    second = model.step(first.state, torch.tensor([1, 1]))
    assert first.continuation.tolist() == second.continuation.tolist() == [0, 1]
    assert (first.reward.tolist(), second.reward.tolist()) == ([1, 1], [0, 1])
    assert torch.equal(first.observation[0], second.observation[0])


@pytest.mark.parametrize("env_id", RESTORABLE)
def test_an_observation_that_shows_the_state_is_enough(env_id: str) -> None:
    model, live = SimulatorModel(env_id), gymnasium.make(env_id)
    observation, _ = live.reset(seed=3)
    live.action_space.seed(0)
    for _ in range(5):
        observation, *_ = live.step(live.action_space.sample())
    action = torch.as_tensor(np.asarray(live.action_space.sample())[None])
    seen = model.step(model.encode(torch.as_tensor(np.asarray(observation)[None])), action)
    exact = model.step(model.capture([live], np.asarray(observation)[None]), action)
    torch.testing.assert_close(seen.observation, exact.observation, atol=1e-5, rtol=1e-5)


class WindyCartPole(CartPoleEnv):
    """Remembers more than its state: every fifth step a gust, counted in a place nobody captures."""

    steps = 0

    def step(self, action: int) -> tuple:
        self.steps += 1
        if self.steps % 5 == 0:
            self.state[1] += 0.1
        return super().step(action)


class ForgetfulEnv(gymnasium.Env, EzPickle):
    """Its ``deepcopy`` is a fresh environment, as with Box2D and MuJoCo."""

    observation_space = gymnasium.spaces.Box(-9, 9, (1,))
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self) -> None:
        EzPickle.__init__(self)
        self._world = [0.0]

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple:
        super().reset(seed=seed)
        self._world = [float(self.np_random.random())]
        return np.array(self._world, np.float32), {}

    def step(self, action: int) -> tuple:
        self._world[0] += 0.1
        return np.array(self._world, np.float32), 0.0, False, False, {}


def _capture_world(env: Any) -> np.ndarray:
    return np.array(env._world)


def _restore_world(env: Any, vector: np.ndarray) -> None:
    env._world = vector.tolist()


@pytest.mark.parametrize("make_env", [WindyCartPole, _make_frozen_lake(True)])
def test_hidden_memory_and_chance_are_found_out(make_env: Callable) -> None:
    with pytest.raises(InputError, match="cannot be restored exactly"):
        SimulatorModel(make_env)


class LuckyEnv(ForgetfulEnv):
    """Every step has a part in chance, from the generator that a reset seeds."""

    def step(self, action: int) -> tuple:
        self._world[0] += float(self.np_random.random())
        return super().step(action)


class LeavingEnv(ForgetfulEnv):
    """Its resets do not forget everything: each starts a little further."""

    resets = 0

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple:
        super().reset(seed=seed)
        LeavingEnv.resets += 1
        self._world[0] += LeavingEnv.resets
        return np.array(self._world, np.float32), {}


def test_any_deterministic_environment_is_restored_by_replaying() -> None:
    model = SimulatorModel(ForgetfulEnv)
    live = model.watch(ForgetfulEnv())
    observation, _ = live.reset(seed=4)
    for _ in range(3):
        observation, *_ = live.step(1)
    state = model.encode(torch.as_tensor(observation[None]))
    imagined = model.step(repeat_state(state, 2), torch.tensor([0, 1]))
    again = model.step(imagined.state, torch.tensor([0, 1]))
    for step in (imagined, again):
        observation, *_ = live.step(0)
        assert [row.tobytes() for row in step.observation.numpy()] == [observation.tobytes()] * 2
    unwatched = ForgetfulEnv()
    unwatched.reset(seed=0)
    with pytest.raises(InputError, match=r"to be watched by `SimulatorModel.watch`"):
        model.capture([unwatched], observation[None])


def test_a_replay_goes_on_from_where_the_scratch_is() -> None:
    env = RecordedEnv(ForgetfulEnv())
    capture, steps = make_capture(10), []
    env.reset(seed=1)
    vectors = [capture(env)]
    for action in (1, 0, 1, 1):
        env.step(action)
        vectors.append(capture(env))
    step = env.env.step
    env.env.step = lambda action: steps.append(action) or step(action)
    restore_by_replay(env, vectors[2])
    assert steps == [1, 0]
    restore_by_replay(env, vectors[4])
    assert steps == [1, 0, 1, 1]
    restore_by_replay(env, vectors[4])
    assert steps == [1, 0, 1, 1]
    with pytest.raises(InputError, match="at most 3 steps"):
        make_capture(3)(env)


@pytest.mark.parametrize(
    ("make_env", "why"),
    [
        (LuckyEnv, "would tell a planner its luck beforehand"),
        ("Blackjack-v1", "would tell a planner its luck beforehand"),
        (LeavingEnv, "cannot be restored exactly"),
    ],
)
def test_what_a_replay_cannot_restore_is_refused(make_env: Any, why: str) -> None:
    with pytest.raises(InputError, match=why):
        SimulatorModel(make_env)


def test_an_adapter_of_ones_own_is_taken_and_proved() -> None:
    model = SimulatorModel(ForgetfulEnv, Snapshot(_capture_world, _restore_world))
    with pytest.raises(InputError, match="does not show its state"):
        model.encode(torch.zeros(1, 1))
    with pytest.raises(InputError, match="cannot be restored exactly"):
        SimulatorModel(ForgetfulEnv, Snapshot(_capture_world, lambda env, vector: None))


def test_an_observation_without_velocities_does_not_show_the_state() -> None:
    model = SimulatorModel("simulacra/PositionOnlyCartPole-v1")
    live = gymnasium.make("simulacra/PositionOnlyCartPole-v1")
    state = model.capture([live], live.reset(seed=0)[0][None])
    assert model.step(state, torch.ones(1, dtype=torch.int64)).observation.tolist() == [live.step(1)[0].tolist()]
    with pytest.raises(InputError, match="does not show its state"):
        model.encode(state["observation"])
    assert model.needs_watching
    watched = model.watch(gymnasium.make("simulacra/PositionOnlyCartPole-v1"))
    watched.reset(seed=0)
    observation, *_ = watched.step(1)
    seen = model.step(model.encode(torch.as_tensor(observation[None])), torch.ones(1, dtype=torch.int64))
    assert seen.observation.tolist() == [watched.step(1)[0].tolist()]
    watched.close()
    with pytest.raises(InputError, match="does not show its state"):
        model.encode(torch.as_tensor(observation[None]))


def test_watched_environments_that_look_the_same_are_told_apart_or_refused() -> None:
    model = SimulatorModel(ForgetfulEnv, Snapshot(_capture_world, _restore_world))
    first, second = (model.watch(ForgetfulEnv()) for _ in range(2))
    observation, _ = first.reset(seed=1)
    second.reset(seed=1)
    assert model.encode(torch.as_tensor(observation[None]))["vector"].tolist() == [first.unwrapped._world]
    second.unwrapped._world = [observation.item() + 1.0 - 0.1]
    first.unwrapped._world = [observation.item() + 1.0 - 0.1 + 1e-12]
    observation, *_ = first.step(0)
    second.step(0)
    with pytest.raises(InputError, match="show the same observation in different states"):
        model.encode(torch.as_tensor(observation[None]))


@pytest.mark.parametrize(
    "config",
    [
        RandomShootingConfig(horizon=12, hold=4, num_sequences=8),
        MCTSConfig(num_simulations=6, hold=5, horizon=12, num_rollouts=2, rollout_hold=12),
    ],
    ids=["random_shooting", "mcts"],
)
def test_planners_keep_the_real_pole_up(config: Any) -> None:
    model, planner, live = SimulatorModel("CartPole-v1"), make_planner(config), gymnasium.make("CartPole-v1")
    observation, _ = live.reset(seed=0)
    generator = torch.Generator().manual_seed(0)
    for _ in range(100):
        plan = planner(model, model.capture([live], observation[None]), generator, None)
        observation, _, terminated, _, _ = live.step(plan.action.item())
        assert not terminated
