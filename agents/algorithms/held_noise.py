"""Exploration that keeps its random draw for several steps, so that it gets somewhere.

Independent noise at every step averages out: a car that must swing for a hundred steps never leaves the valley. Drawing
anew only every few steps is what gSDE's sampling frequency does too (Raffin et al. 2022, "Smooth Exploration for
Robotic Reinforcement Learning"), here for any policy, without a state: steps of one block draw with the same key.
"""

import jax
import jax.numpy as jnp


def init_noise_seed(key: jax.Array) -> jax.Array:
    """Returns what a training's blocks are told apart by from another's, a scalar."""
    return jax.random.bits(key, (), jnp.uint32)


def held_key(
    fresh: jax.Array, noise_seed: jax.Array, num_added: jax.Array, noise_steps: int, num_envs: int
) -> jax.Array:
    """Returns the key to explore with.

    Args:
        fresh: a key of this step's own, which is returned where ``noise_steps`` is 1.
        noise_seed: of the training.
        num_added: transitions collected so far. It grows between rollouts only: where a rollout is longer than
            ``noise_steps``, all of it shares a draw.
        noise_steps: steps that share a draw; static.
        num_envs: environments; static.
    """
    if noise_steps == 1:
        return fresh
    return jax.random.fold_in(jax.random.key(noise_seed), num_added // (noise_steps * num_envs))
