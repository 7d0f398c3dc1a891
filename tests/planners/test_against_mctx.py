"""Visit counts equal mctx's, exactly, on injected noise and the same network written twice, in torch and in JAX."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import mctx
import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import Tensor

from envs.spec import EnvSpec
from envs.world_model import Imagined, ModelState
from planners.configs import MCTSConfig
from planners.mcts import LeafFunctions, SearchResult, mcts

LATENT, GAMMA = 16, 0.97


class Weights(NamedTuple):
    """A random network: latent states, rewards, ends, values, logits; outcomes for the stochastic one."""

    mix: np.ndarray
    actions: np.ndarray
    heads: np.ndarray
    policy: np.ndarray
    chance: np.ndarray
    outcomes: np.ndarray


def make_weights(seed: int, num_actions: int, num_outcomes: int = 1) -> Weights:
    random = np.random.default_rng(seed)

    def draw(*shape: int) -> np.ndarray:
        return random.normal(size=shape).astype(np.float32)

    return Weights(
        0.4 * draw(LATENT, LATENT), draw(num_actions, LATENT), 0.5 * draw(LATENT, 4), 0.8 * draw(LATENT, num_actions),
        draw(LATENT, num_outcomes), draw(num_outcomes, LATENT),
    )  # fmt: skip


class TorchNetwork:
    """The network as a world model; with ``ends``, some steps end the episode."""

    def __init__(self, weights: Weights, ends: bool = False, discount: float = GAMMA):
        self.weights = Weights(*map(torch.from_numpy, weights))
        self.spec = EnvSpec("Net-v0", spaces.Box(-9, 9, (LATENT,)), spaces.Discrete(len(weights.actions)))
        self.device, self.ends, self.num_outcomes = torch.device("cpu"), ends, len(weights.outcomes)

    def encode(self, observation: Tensor, previous: Any = None, action: Any = None) -> ModelState:
        return {"z": observation}

    def evaluate(self, state: ModelState) -> tuple[Tensor, Tensor]:
        return state["z"] @ self.weights.policy, (state["z"] @ self.weights.heads)[:, 0]

    def step(self, state: ModelState, action: Tensor, generator: torch.Generator | None = None) -> Imagined:
        return self._arrive(torch.tanh(state["z"] @ self.weights.mix + self.weights.actions[action]))

    def _arrive(self, z: Tensor) -> Imagined:
        heads = z @ self.weights.heads
        on = (heads[:, 2] < 1.0).float() if self.ends else torch.ones(len(z))
        return Imagined({"z": z}, z, heads[:, 1], on, *torch.zeros(2, len(z)))


class StochasticTorchNetwork(TorchNetwork):
    def afterstate(self, state: ModelState, action: Tensor) -> tuple[ModelState, Tensor]:
        after = torch.tanh(state["z"] @ self.weights.mix + self.weights.actions[action])
        return {"after": after}, after @ self.weights.chance

    def afterstate_value(self, state: ModelState) -> Tensor:
        return (state["after"] @ self.weights.heads)[:, 3]

    def resolve(self, afterstate: ModelState, outcome: Tensor) -> Imagined:
        return self._arrive(torch.tanh(afterstate["after"] @ self.weights.mix + self.weights.outcomes[outcome]))


def _arrive(weights: Weights, z: jax.Array, ends: bool, discount: float) -> tuple[Any, ...]:
    heads = z @ weights.heads
    on = (heads[:, 2] < 1.0) * discount if ends else jnp.full(len(z), discount)
    return heads[:, 1], on, z @ weights.policy, heads[:, 0]


def _recurrent(ends: bool, discount: float) -> Any:
    def step(weights: Weights, key: Any, action: jax.Array, z: jax.Array) -> tuple[Any, jax.Array]:
        z = jnp.tanh(z @ weights.mix + weights.actions[action])
        reward, on, logits, value = _arrive(weights, z, ends, discount)
        return mctx.RecurrentFnOutput(reward=reward, discount=on, prior_logits=logits, value=value), z

    return step


def _roots(weights: Weights, z: np.ndarray) -> Any:
    return mctx.RootFnOutput(prior_logits=z @ weights.policy, value=(z @ weights.heads)[:, 0], embedding=jnp.asarray(z))


def _starts(rows: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, LATENT)).astype(np.float32)


def _mask(rows: int, num_actions: int, seed: int) -> np.ndarray:
    """Forbids some actions in the second half of the rows."""
    invalid = np.random.default_rng(seed).random((rows, num_actions)) < 0.4
    invalid[np.arange(rows), np.arange(rows) % num_actions] = False
    invalid[: rows // 2] = False
    return invalid


def _assert_equal(ours: SearchResult, theirs: Any) -> None:
    summary = theirs.search_tree.summary()
    np.testing.assert_array_equal(ours.visits.numpy(), np.asarray(summary.visit_counts))
    np.testing.assert_allclose(ours.value.numpy(), np.asarray(summary.value), rtol=2e-4, atol=2e-5)
    np.testing.assert_allclose(ours.policy.numpy(), np.asarray(theirs.action_weights), rtol=2e-3, atol=2e-5)


LIKE_MCTX = MCTSConfig(num_simulations=60, discount=GAMMA, normalise="siblings", resolution=0.0, random_ties=False)


@pytest.mark.parametrize(("discount", "ends"), [(GAMMA, True), (-1.0, False)])
def test_puct(discount: float, ends: bool) -> None:
    rows, num_actions = 32, 5
    weights, starts = make_weights(1, num_actions), _starts(rows, 2)
    invalid = _mask(rows, num_actions, 3)
    key = jax.random.key(4)
    noise = jax.random.dirichlet(jax.random.split(key, 3)[1], jnp.full(num_actions, 0.3), (rows,))
    search = jax.jit(mctx.muzero_policy, static_argnames=("recurrent_fn", "num_simulations"))
    theirs = search(
        weights, key, _roots(weights, starts), _recurrent(ends, discount), num_simulations=60, invalid_actions=invalid
    )
    model = TorchNetwork(weights, ends)
    config = MCTSConfig(**{**vars(LIKE_MCTX), "discount": discount, "dirichlet_fraction": 0.25})
    ours = mcts(
        model, {"z": torch.from_numpy(starts)}, config, None, model.evaluate,
        noise=torch.from_numpy(np.array(noise)), invalid_actions=torch.from_numpy(invalid),
    )  # fmt: skip
    _assert_equal(ours, theirs)
    assert (ours.visits > 0).sum(dim=1).float().mean() > 2


@pytest.mark.parametrize(("num_actions", "simulations"), [(4, 50), (21, 64)])
def test_gumbel(num_actions: int, simulations: int) -> None:
    rows = 32
    weights, starts = make_weights(5, num_actions), _starts(rows, 6)
    invalid = _mask(rows, num_actions, 7)
    key = jax.random.key(8)
    noise = jax.random.gumbel(jax.random.split(key)[1], (rows, num_actions))
    search = jax.jit(mctx.gumbel_muzero_policy, static_argnames=("recurrent_fn", "num_simulations"))
    theirs = search(
        weights, key, _roots(weights, starts), _recurrent(True, GAMMA),
        num_simulations=simulations, invalid_actions=invalid,
    )  # fmt: skip
    model = TorchNetwork(weights, True)
    config = MCTSConfig(**{**vars(LIKE_MCTX), "select": "gumbel", "num_simulations": simulations})
    ours = mcts(
        model, {"z": torch.from_numpy(starts)}, config, None, model.evaluate,
        noise=torch.from_numpy(np.array(noise)), invalid_actions=torch.from_numpy(invalid),
    )  # fmt: skip
    _assert_equal(ours, theirs)
    np.testing.assert_array_equal(ours.action.numpy(), np.asarray(theirs.action))


def test_chance_nodes() -> None:
    rows, num_actions, num_outcomes = 24, 3, 4
    weights, starts = make_weights(9, num_actions, num_outcomes), _starts(rows, 10)

    def decide(weights: Weights, key: Any, action: jax.Array, z: jax.Array) -> tuple[Any, jax.Array]:
        after = jnp.tanh(z @ weights.mix + weights.actions[action])
        value = (after @ weights.heads)[:, 3]
        return mctx.DecisionRecurrentFnOutput(chance_logits=after @ weights.chance, afterstate_value=value), after

    def happen(weights: Weights, key: Any, outcome: jax.Array, after: jax.Array) -> tuple[Any, jax.Array]:
        z = jnp.tanh(after @ weights.mix + weights.outcomes[outcome])
        reward, on, logits, value = _arrive(weights, z, True, GAMMA)
        return mctx.ChanceRecurrentFnOutput(action_logits=logits, value=value, reward=reward, discount=on), z

    key = jax.random.key(11)
    noise = jax.random.dirichlet(jax.random.split(key, 3)[1], jnp.full(num_actions, 0.3), (rows,))
    names = ("decision_recurrent_fn", "chance_recurrent_fn", "num_simulations")
    search = jax.jit(mctx.stochastic_muzero_policy, static_argnames=names)
    theirs = search(weights, key, _roots(weights, starts), decide, happen, num_simulations=80)
    model = StochasticTorchNetwork(weights, True)
    config = MCTSConfig(
        **{**vars(LIKE_MCTX), "num_simulations": 80, "stochastic_model": True, "dirichlet_fraction": 0.25}
    )
    functions = LeafFunctions(model.evaluate, afterstate_value=model.afterstate_value)
    ours = mcts(
        model, {"z": torch.from_numpy(starts)}, config, None,
        functions=functions, noise=torch.from_numpy(np.array(noise)),
    )  # fmt: skip
    _assert_equal(ours, theirs)
    assert ours.statistics.max_depth.max() > 3
