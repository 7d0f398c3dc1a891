"""World models with known answers, written for the tests: a table, a linear system, CartPole's equations."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import Tensor

from envs.spec import EnvSpec, spec_of
from envs.world_model import Imagined, ModelState
from planners.plan import Plan, Planner, ValueFn


class TabularModel:
    """A deterministic Markov decision process: ``next_cell``, ``reward``, ``continuation``, each ``[S, A]``."""

    def __init__(self, next_cell: np.ndarray, reward: np.ndarray, continuation: np.ndarray, start: int = 0):
        num_cells, num_actions = next_cell.shape
        self.spec = EnvSpec("Table-v0", spaces.Discrete(num_cells), spaces.Discrete(num_actions, start=start))
        self.device = torch.device("cpu")
        self._next, self._start = torch.as_tensor(next_cell), start
        self._reward = torch.as_tensor(reward, dtype=torch.float32)
        self._continuation = torch.as_tensor(continuation, dtype=torch.float32)

    def encode(self, observation: Tensor, previous: ModelState | None = None, action: Tensor | None = None):
        return {"cell": observation}

    def step(self, state: ModelState, action: Tensor, generator: torch.Generator | None = None) -> Imagined:
        cell, action = state["cell"], action - self._start
        assert ((action >= 0) & (action < self._next.shape[1])).all()
        after = self._next[cell, action]
        reward, continuation = self._reward[cell, action], self._continuation[cell, action]
        return Imagined({"cell": after}, after, reward, continuation, *torch.zeros(2, len(cell)))


class DoubleIntegrator:
    """A mass under a force held for dt = 0.1; reward -(x^2 + v^2 + 0.1 u^2): a linear-quadratic problem."""

    def __init__(self, bound: float = 10.0):
        box = spaces.Box(-np.inf, np.inf, (2,), np.float32)
        self.spec = EnvSpec("LQR-v0", box, spaces.Box(-bound, bound, (1,), np.float32))
        self.device = torch.device("cpu")

    def encode(self, observation: Tensor, previous: ModelState | None = None, action: Tensor | None = None):
        return {"x": observation}

    def step(self, state: ModelState, action: Tensor, generator: torch.Generator | None = None) -> Imagined:
        x, force = state["x"], action[:, 0]
        assert (action.abs() <= float(self.spec.action_space.high[0])).all()
        reward = -(x.square().sum(dim=1) + 0.1 * force.square())
        after = torch.stack([x[:, 0] + 0.1 * x[:, 1] + 0.005 * force, x[:, 1] + 0.1 * force], dim=1)
        return Imagined({"x": after}, after, reward, torch.ones(len(x)), *torch.zeros(2, len(x)))


class CartPoleModel:
    """The equations of Gymnasium's CartPole-v1, batched."""

    def __init__(self):
        self.spec = spec_of("CartPole-v1")
        self.device = torch.device("cpu")

    def encode(self, observation: Tensor, previous: ModelState | None = None, action: Tensor | None = None):
        return {"x": observation}

    def step(self, state: ModelState, action: Tensor, generator: torch.Generator | None = None) -> Imagined:
        x, speed, angle, turn = state["x"].unbind(-1)
        force = torch.where(action == 1, 10.0, -10.0)
        cosine, sine = angle.cos(), angle.sin()
        push = (force + 0.05 * turn.square() * sine) / 1.1
        spin = (9.8 * sine - cosine * push) / (0.5 * (4 / 3 - 0.1 * cosine.square() / 1.1))
        gain = push - 0.05 * spin * cosine / 1.1
        after = torch.stack([x + 0.02 * speed, speed + 0.02 * gain, angle + 0.02 * turn, turn + 0.02 * spin], dim=-1)
        up = (after[:, 0].abs() <= 2.4) & (after[:, 2].abs() <= 12 * math.pi / 180)
        return Imagined({"x": after}, after, torch.ones(len(x)), up.float(), *torch.zeros(2, len(x)))


class PendulumModel:
    """The equations of Gymnasium's Pendulum-v1, batched."""

    def __init__(self):
        self.spec = spec_of("Pendulum-v1")
        self.device = torch.device("cpu")

    def encode(self, observation: Tensor, previous: ModelState | None = None, action: Tensor | None = None):
        cosine, sine, speed = observation.double().unbind(-1)
        return {"angle": torch.atan2(sine, cosine), "speed": speed}

    def step(self, state: ModelState, action: Tensor, generator: torch.Generator | None = None) -> Imagined:
        angle, speed, torque = state["angle"], state["speed"], action[:, 0].double()
        assert (torque.abs() <= 2).all()
        upright = torch.remainder(angle + math.pi, 2 * math.pi) - math.pi
        reward = -(upright.square() + 0.1 * speed.square() + 0.001 * torque.square())
        speed = (speed + (15 * angle.sin() + 3 * torque) * 0.05).clamp(-8, 8)
        angle = angle + speed * 0.05
        shown = torch.stack([angle.cos(), angle.sin(), speed], dim=-1).float()
        ones = torch.ones(len(angle))
        return Imagined({"angle": angle, "speed": speed}, shown, reward.float(), ones, *torch.zeros(2, len(angle)))


@pytest.fixture
def pendulum() -> PendulumModel:
    return PendulumModel()


@pytest.fixture
def make_table() -> type[TabularModel]:
    return TabularModel


@pytest.fixture
def make_integrator() -> type[DoubleIntegrator]:
    return DoubleIntegrator


@pytest.fixture
def cartpole() -> CartPoleModel:
    return CartPoleModel()


@pytest.fixture
def corridor() -> TabularModel:
    """Cells 0 to 4; action 0 goes left, 1 right; entering cell 4 pays 1 and ends, every other step costs 0.1."""
    cells = np.arange(5)
    next_cell = np.stack([np.maximum(cells - 1, 0), np.minimum(cells + 1, 4)], axis=1)
    goal = next_cell == 4
    return TabularModel(next_cell, np.where(goal, 1.0, -0.1), np.where(goal, 0.0, 1.0))


@pytest.fixture
def random_table() -> Callable[..., TabularModel]:
    def make(seed: int, num_cells: int = 12, num_actions: int = 3, start: int = 0) -> TabularModel:
        random = np.random.default_rng(seed)
        shape = (num_cells, num_actions)
        ends = random.random(shape) < 0.15
        return TabularModel(random.integers(num_cells, size=shape), random.normal(size=shape), 1.0 - ends, start)

    return make


def final_lqr_value(state: ModelState) -> Tensor:
    """The final cost of `DoubleIntegrator`'s linear-quadratic problem, the same as a step's, negated."""
    return -state["x"].square().sum(dim=1)


@pytest.fixture
def lqr_cost() -> Callable[[Planner], float]:
    """Cost of 60 steps from (1, 0), replanned at each with warm starts, over that of the infinite-horizon optimum."""

    def measure(planner: Planner) -> float:
        model, generator = DoubleIntegrator(), torch.Generator().manual_seed(0)
        state, warm_start, cost = {"x": torch.tensor([[1.0, 0.0]])}, None, 0.0
        for _ in range(60):
            plan = planner(model, state, generator, warm_start)
            imagined = model.step(state, plan.action)
            state, warm_start, cost = imagined.state, plan.warm_start, cost - imagined.reward.item()
        return cost / 13.31722

    return measure


@pytest.fixture
def lqr_plan() -> Callable[[Planner], Plan]:
    """The plan from (1, 0); over 30 steps and a final cost the optimum costs 13.25030 and starts with -2.56633."""

    def plan(planner: Planner) -> Plan:
        generator = torch.Generator().manual_seed(0)
        return planner(DoubleIntegrator(), {"x": torch.tensor([[1.0, 0.0]])}, generator, None)

    return plan


@pytest.fixture
def lqr_value() -> ValueFn:
    return final_lqr_value


class Bandit:
    """One step of a Box in one dimension whose reward is a function of action and member; members are ``shifts``."""

    def __init__(self, reward_fn: Callable[[Tensor], Tensor], shifts: list[float] | None = None, noise: float = 0.0):
        box = spaces.Box(-1.0, 1.0, (1,), np.float32)
        self.spec, self.device = EnvSpec("Bandit-v0", box, box), torch.device("cpu")
        self._reward_fn, self._noise = reward_fn, noise
        self._shifts = torch.tensor(shifts or [0.0])
        self.num_members, self.seen = len(self._shifts), []

    def encode(self, observation: Tensor, previous: ModelState | None = None, action: Tensor | None = None):
        return {"member": torch.zeros(len(observation), dtype=torch.int64)}

    def follow(self, state: ModelState, member: Tensor) -> ModelState:
        return {"member": member}

    def step(self, state: ModelState, action: Tensor, generator: torch.Generator | None = None) -> Imagined:
        self.seen.append(action)
        action, rows = action[:, 0], len(action)
        reward = self._reward_fn(action) + self._shifts[state["member"]] * action.abs()
        if generator is not None:
            reward = reward + self._noise * torch.randn(rows, generator=generator)
        return Imagined(state, action[:, None], reward, torch.ones(rows), action.abs(), torch.zeros(rows))


@pytest.fixture
def make_bandit() -> type[Bandit]:
    return Bandit
