"""Gradient descent on the networks of synthetic environments, where there is something to fit them to.

Shape legend: ``N`` rows, ``I`` input size, ``O`` output size.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from envs.mlp import MLPParams
from synthetic_envs.configs import DistillationConfig

ApplyFn = Callable[[MLPParams, jax.Array], jax.Array]
"""Outputs ``[N, O]`` of a network for inputs ``[N, I]``."""


class Scale(NamedTuple):
    """Mean and standard deviation of rows, each ``[D]``, so that all dimensions count alike."""

    mean: jax.Array
    deviation: jax.Array

    def apply(self, rows: jax.Array) -> jax.Array:
        """Returns rows ``[N, D]`` in standard deviations."""
        return (rows - self.mean) / self.deviation


def scale_of(rows: jax.Array) -> Scale:
    """Returns the scale of rows ``[N, D]``."""
    return Scale(rows.mean(0), rows.std(0) + 1e-6)


def with_input_scale(params: MLPParams, scale: Scale) -> MLPParams:
    """Returns a network that takes rows as they are where ``params`` took the first ``D`` inputs scaled."""
    layer, size = params["0"], len(scale.mean)
    weights = layer["w"].at[:size].divide(scale.deviation[:, None])
    return {**params, "0": {**layer, "w": weights, "b": layer["b"] - scale.mean @ weights[:size]}}


def with_output_scale(params: MLPParams, scale: Scale) -> MLPParams:
    """Returns a network that tells rows as they are where ``params`` told them scaled."""
    last = str(len(params) - 1)
    layer = params[last]
    return {
        **params, last: {**layer, "w": layer["w"] * scale.deviation, "b": layer["b"] * scale.deviation + scale.mean}
    }  # fmt: skip


def fit_draws(
    apply_fn: ApplyFn, params: MLPParams, rows: jax.Array, config: DistillationConfig, key: jax.Array
) -> MLPParams:
    """Returns a network that makes of Gaussian noise what is distributed as ``rows`` ``[N, O]``, ``spread`` as far."""
    scale = scale_of(rows)
    scaled, size = scale.apply(rows), rows.shape[1]

    def loss(params: MLPParams, key: jax.Array) -> jax.Array:
        noise_key, row_key = jax.random.split(key)
        drawn = apply_fn(params, jax.random.normal(noise_key, (config.batch_size, size)))
        return energy_distance(drawn, scaled[jax.random.randint(row_key, (config.batch_size,), 0, len(scaled))])

    fitted = minimised(loss, params, config.context_steps, config, key)
    return with_output_scale(fitted, Scale(scale.mean, config.spread * scale.deviation))


def energy_distance(left: jax.Array, right: jax.Array) -> jax.Array:
    """Returns ``2 E|X - Y| - E|X - X'| - E|Y - Y'|`` of samples ``[N, O]`` and ``[N, O]``; 0 where they are alike."""
    return 2.0 * _mean_distance(left, right) - _mean_distance(left, left) - _mean_distance(right, right)


def _mean_distance(left: jax.Array, right: jax.Array) -> jax.Array:
    squared = ((left[:, None] - right[None, :]) ** 2).sum(-1)
    return jnp.sqrt(squared + 1e-8).mean()


def fit_outputs(
    apply_fn: ApplyFn,
    params: MLPParams,
    inputs: jax.Array,
    outputs: jax.Array,
    config: DistillationConfig,
    key: jax.Array,
) -> MLPParams:
    """Returns a network whose outputs are near ``outputs`` ``[N, O]`` for ``inputs`` ``[N, I]``, in the mean square."""
    seen, told = scale_of(inputs), scale_of(outputs)
    scaled_inputs, scaled_outputs = seen.apply(inputs), told.apply(outputs)

    def loss(params: MLPParams, key: jax.Array) -> jax.Array:
        rows = jax.random.randint(key, (config.batch_size,), 0, len(inputs))
        return ((apply_fn(params, scaled_inputs[rows]) - scaled_outputs[rows]) ** 2).mean()

    fitted = minimised(loss, params, config.reward_steps, config, key)
    return with_output_scale(with_input_scale(fitted, seen), told)


def minimised(
    loss: Callable[[MLPParams, jax.Array], jax.Array],
    params: MLPParams,
    num_steps: int,
    config: DistillationConfig,
    key: jax.Array,
) -> MLPParams:
    """Returns parameters after steps of Adam whose rate falls to 0 along a cosine."""
    optimiser = optax.adam(optax.cosine_decay_schedule(config.learning_rate, num_steps))

    def step(carry: tuple[MLPParams, Any], key: jax.Array) -> tuple[tuple[MLPParams, Any], None]:
        params, state = carry
        updates, state = optimiser.update(jax.grad(loss)(params, key), state)
        return (optax.apply_updates(params, updates), state), None

    def run(params: MLPParams, key: jax.Array) -> MLPParams:
        return jax.lax.scan(step, (params, optimiser.init(params)), jax.random.split(key, num_steps))[0][0]

    fitted: MLPParams = jax.jit(run)(params, key)
    return fitted
