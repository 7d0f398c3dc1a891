"""Speed of trajectory planners and of the real environment as a model, on one thread.

Models are untrained, which does not matter to speed. Times are CPU seconds, ours and floor in turns in the same run,
the best of several rounds each, since machines are shared. ``floor`` is the matrix products of the model alone, as one
batched product a layer; ``peer`` is as FACTS has it (November 2026, not in this run), but for the tree search with
deep copies, which is here.
"""

import copy
import itertools
import math
import time
from collections.abc import Callable, Sequence

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from benchmarks.reporting import report
from envs.spec import EnvSpec
from envs.world_model import repeat_state
from planners.cem import cem
from planners.configs import CEMConfig, MCTSConfig, RiskConfig
from planners.mcts import mcts
from planners.simulator import SimulatorModel
from worldmodels.configs import EnsembleConfig, MLPConfig
from worldmodels.families.ensemble import Ensemble, EnsembleParts
from worldmodels.families.ensemble_network import EnsembleNetwork
from worldmodels.families.mlp import MLPModel
from worldmodels.families.mlp_network import MLPNetwork
from worldmodels.judging import NEVER_ENDS
from worldmodels.normaliser import Normalisers, identity_normaliser
from worldmodels.saved_model import LoadOptions, Trained
from worldmodels.starts import StartPoints, Starts

FORCE, BUTTONS = spaces.Box(-1, 1, (1,), np.float32), spaces.Discrete(2)
PETS_PLAN = CEMConfig(horizon=30, num_sequences=500, iterations=5, hold=1, stochastic_model=True)
PETS_CARTPOLE = CEMConfig(
    horizon=15, num_sequences=350, iterations=5, hold=1, smoothing=0.1, risk=RiskConfig(num_particles=20)
)
SMALL_PLAN = CEMConfig(horizon=10, num_sequences=300, iterations=5, hold=1)


def small_plan() -> None:
    """CEM with 300 sequences over 10 steps in 5 rounds, on a perceptron of two hidden layers of 64."""
    model, generator = _perceptron(4, FORCE), torch.Generator().manual_seed(0)
    state = model.encode(torch.zeros(1, 4))
    ours, floor = _seconds(
        lambda: cem(model, state, SMALL_PLAN, generator), _products(1, 300, (5, 64, 64, 5), num_steps=50), calls=20
    )
    report("CEM 300 x 10 x 5, MLP 64 x 2", "plans/s", 1 / ours, 400, 1 / floor, 203, "stable-worldmodel")


def pets_plan() -> None:
    """CEM with 500 sequences over 30 steps in 5 rounds, each following one of 5 members of 4 x 200 with its noise."""
    model, generator = _ensemble(17, spaces.Box(-1, 1, (6,), np.float32), ends=False), torch.Generator().manual_seed(0)
    state = model.encode(torch.zeros(1, 17))
    widths = (23, 200, 200, 200, 200, 36)
    ours, floor = _seconds(
        lambda: cem(model, state, PETS_PLAN, generator), _products(5, 100, widths, num_steps=150), calls=1
    )
    report("PETS-sized plan", "ms", 1e3 * ours, 1.1e3 * floor, 1e3 * floor, 258, "mbrl-lib", lower_is_better=True)


def pets_cartpole() -> None:
    """One decision of PETS on CartPole: 350 sequences, 15 steps, 5 rounds, 20 particles on 5 members of 4 x 200."""
    model, generator = _ensemble(4, BUTTONS, ends=True), torch.Generator().manual_seed(0)
    state = model.encode(torch.zeros(1, 4))
    for name, config in {
        "members' means": PETS_CARTPOLE,
        "outcomes drawn": CEMConfig(**{**vars(PETS_CARTPOLE), "stochastic_model": True}),
    }.items():
        (seconds,) = _seconds(lambda: cem(model, state, config, generator), calls=1, rounds=4)  # noqa: B023
        report(f"PETS CartPole decision, {name}", "s", seconds, 0.4, None, 1.87, "mbrl-lib", lower_is_better=True)


def snapshots() -> None:
    """UCT on the real CartPole: 100 simulations with rollouts of about 5 steps, by snapshots and by deep copies."""
    model, live = SimulatorModel("CartPole-v1"), gymnasium.make("CartPole-v1")
    observation, _ = live.reset(seed=0)
    config = MCTSConfig(num_simulations=100, num_rollouts=1, rollout_hold=1, horizon=8)
    one, generator = model.encode(torch.from_numpy(observation[None])), torch.Generator().manual_seed(0)
    for roots in (1, 16):
        state = repeat_state(one, roots)
        ours, copies = _seconds(
            lambda: mcts(model, state, config, generator),  # noqa: B023
            lambda: uct_by_deep_copies(live, num_simulations=100, rollout=5),
            calls=1,
            rounds=5,
        )
        peer, goal = 100 / copies, 300 / copies
        case = f"UCT on the real CartPole, {roots} roots at once"
        report(case, "simulations/s", 100 * roots / ours, goal, None, peer, "deep copies")


def uct_by_deep_copies(env: gymnasium.Env, num_simulations: int, rollout: int) -> int:
    """Plain UCT that keeps a deep copy of the wrapped environment at every node; returns the most visited action."""
    random, exploration = np.random.default_rng(0), 1.4
    root = {"env": env, "visits": 1, "value": 0.0, "done": False, "children": {}}
    for _ in range(num_simulations):
        node, path, total = root, [root], 0.0
        while not node["done"]:
            scores = [
                math.inf
                if action not in node["children"]
                else node["children"][action]["value"]
                + exploration * math.sqrt(math.log(node["visits"]) / node["children"][action]["visits"])
                for action in range(2)
            ]
            action = int(np.argmax(scores))
            if action in node["children"]:
                node = node["children"][action]
                total, path = total + 1.0, [*path, node]
                continue
            after = copy.deepcopy(node["env"])
            _, reward, ended, _, _ = after.step(action)
            node["children"][action] = {"env": after, "visits": 0, "value": 0.0, "done": ended, "children": {}}
            path, total = [*path, node["children"][action]], total + reward
            total += 0.0 if ended else _rollout(copy.deepcopy(after), rollout, random)
            break
        for one in path:
            one["visits"] += 1
            one["value"] += (total - one["value"]) / one["visits"]
    return max(root["children"], key=lambda action: root["children"][action]["visits"])


def _rollout(env: gymnasium.Env, steps: int, random: np.random.Generator) -> float:
    total = 0.0
    for _ in range(steps):
        _, reward, ended, _, _ = env.step(int(random.integers(2)))
        total += reward
        if ended:
            break
    return total


def _seconds(*runs: Callable[[], object], calls: int, rounds: int = 10) -> list[float]:
    """Returns the CPU seconds of one call of each, the best of ``rounds`` taken in turns."""
    best = [math.inf] * len(runs)
    for run in runs:
        run()
    for _ in range(rounds):
        for i, run in enumerate(runs):
            start = time.process_time()
            for _ in range(calls):
                run()
            best[i] = min(best[i], (time.process_time() - start) / calls)
    return best


def _products(members: int, rows: int, widths: Sequence[int], num_steps: int) -> Callable[[], None]:
    """Returns the function that computes the layers' matrix products of ``num_steps`` steps, and nothing else."""
    layers = [torch.randn(members, fan_in, fan_out) for fan_in, fan_out in itertools.pairwise(widths)]
    results = [torch.empty(members, rows, width) for width in widths[1:]]
    inputs: list[Tensor] = [torch.randn(members, rows, width) for width in widths[:-1]]

    def run() -> None:
        for _ in range(num_steps):
            for values, layer, result in zip(inputs, layers, results, strict=True):
                torch.bmm(values, layer, out=result)

    return run


def _spec(dims: int, actions: spaces.Space) -> EnvSpec:
    return EnvSpec("Bench-v0", spaces.Box(-np.inf, np.inf, (dims,), np.float32), actions, max_episode_steps=1000)


def _trained(spec: EnvSpec, dims: int) -> Trained:
    nowhere = StartPoints(torch.zeros(1, dims))
    return Trained(spec, Starts(nowhere, nowhere), torch.ones(dims + 1))


def _normalisers(dims: int, actions: int) -> Normalisers:
    return Normalisers(identity_normaliser(dims), identity_normaliser(actions), identity_normaliser(dims + 1))


def _perceptron(dims: int, actions: spaces.Box) -> MLPModel:
    spec, config = _spec(dims, actions), MLPConfig(hidden=(64, 64))
    network = MLPNetwork(spec, config, torch.Generator().manual_seed(0))
    network.termination_weight.fill_(NEVER_ENDS)
    return MLPModel(_trained(spec, dims), config, network, _normalisers(dims, math.prod(actions.shape)))


def _ensemble(dims: int, actions: spaces.Space, ends: bool) -> Ensemble:
    spec = _spec(dims, actions)
    config = EnsembleConfig(num_members=5, hidden=(200,) * 4, propagation="tsinf")
    network = EnsembleNetwork(spec, config, torch.Generator().manual_seed(0))
    network.termination_weight.fill_(1.0 if ends else NEVER_ENDS)
    num_actions = 2 if isinstance(actions, spaces.Discrete) else math.prod(actions.shape or ())
    parts = EnsembleParts(config, network, _normalisers(dims, num_actions))
    return Ensemble(_trained(spec, dims), parts, LoadOptions(epistemic=False))


CASES: dict[str, Callable[[], None]] = {
    "small-plan": small_plan,
    "pets-plan": pets_plan,
    "pets-cartpole": pets_cartpole,
    "snapshots": snapshots,
}
