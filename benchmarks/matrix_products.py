"""The matrix products alone that PPO's training consists of: the least that it must pay, in one compiled loop.

Between the products there is nothing: no activations, losses, optimiser, random numbers or shuffling. What is learned
from goes through every layer forwards, and backwards for the gradients of weights (in the order of `envs.dense`, which
is the fastest known) and of inputs.

Shape legend: ``B`` environments, ``T`` steps of a rollout, ``N`` rows of a minibatch, ``m`` minibatches, ``O``
observation size.
"""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from envs.dense import transposed_product

Weights = list[jax.Array]


class Inputs(NamedTuple):
    """What goes through the networks in an update: ``few`` ``[B, O]`` to act on, ``many`` ``[T * B, O]`` to judge,
    ``minibatches`` ``[m, N, O]`` to learn from."""

    few: jax.Array
    many: jax.Array
    minibatches: jax.Array


def random_weights(key: jax.Array, sizes: tuple[int, ...]) -> Weights:
    """Returns the weights of layers of ``sizes``."""
    return [0.1 * jax.random.normal(key, pair) for pair in itertools.pairwise(sizes)]


def ppo_weights(key: jax.Array, config: Any, observation_size: int, action_size: int) -> dict[str, Weights]:
    """Returns weights of an actor and a critic."""
    sizes = {"actor": action_size, "critic": 1}
    return {name: random_weights(key, (observation_size, *config.hidden, size)) for name, size in sizes.items()}


def ppo_inputs(key: jax.Array, config: Any, observation_size: int) -> Inputs:
    """Returns inputs of the shapes of one update."""
    rows, minibatch = config.steps_per_update, config.steps_per_update // config.num_minibatches
    shapes = ((config.num_envs,), (rows,), (config.num_minibatches, minibatch))
    return Inputs(*(jax.random.normal(key, (*shape, observation_size)) for shape in shapes))


def ppo_products(
    config: Any, num_updates: int, step_fn: Callable[[jax.Array], jax.Array] | None = None
) -> Callable[[dict[str, Weights], Inputs], dict[str, Weights]]:
    """Returns ``(weights, inputs) -> weights``: the products of ``num_updates`` updates; pure, so that it is vmapped.

    Args:
        config: PPO's settings.
        num_updates: of the training.
        step_fn: the products of an environment's step, ``[B, O] -> [B, O]``; None for an environment without any.
    """

    def act(actor: Weights, rows: jax.Array) -> jax.Array:
        rows = rows + 1e-20 * forward(actor, rows)[-1].sum()
        return rows if step_fn is None else step_fn(rows)

    def update(nets: dict[str, Weights], inputs: Inputs) -> dict[str, Weights]:
        acted, _ = jax.lax.scan(lambda x, _: (act(nets["actor"], x), None), inputs.few, None, config.num_steps)
        values = sum(forward(net, inputs.many)[-1].sum() for net in (nets["actor"], nets["critic"], nets["critic"]))
        minibatches = inputs.minibatches + 1e-20 * (values + acted.sum())

        def epoch(nets: dict[str, Weights], _: None) -> tuple[dict[str, Weights], None]:
            return jax.lax.scan(lambda n, x: ({k: learn(w, x) for k, w in n.items()}, None), nets, minibatches)

        return jax.lax.scan(epoch, nets, None, config.num_epochs)[0]

    return lambda nets, inputs: jax.lax.scan(lambda n, _: (update(n, inputs), None), nets, None, num_updates)[0]


def forward(weights: Weights, inputs: jax.Array) -> list[jax.Array]:
    """Returns what goes into every layer and what comes out of the last."""
    layers = [inputs]
    for weight in weights:
        layers.append(layers[-1] @ weight)
    return layers


def learn(weights: Weights, inputs: jax.Array) -> Weights:
    """Returns weights after the products of a gradient step, forwards and backwards."""
    *layers, gradient = forward(weights, inputs)
    changed = []
    for weight, layer in zip(reversed(weights), reversed(layers), strict=True):
        changed.append(weight - 1e-6 * transposed_product(layer, gradient))
        gradient = gradient @ weight.T
    return changed[::-1]
