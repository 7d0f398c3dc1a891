"""Rewards and observations that are no finite numbers, told by environment and step.

A compiled training cannot stop in the middle: its metric ``bad_step`` tells where the first of them came, and who
reads the metrics stops.

Shape legend: ``T`` time, ``B`` environments, ``U`` updates.
"""

import jax
import jax.numpy as jnp
import numpy as np

from agents.training.rollout import Rollout
from envs.errors import InputError


def bad_step(rollout: Rollout) -> jax.Array:
    """Returns ``t * B + b`` of the first step of a rollout ``[T, B]`` that is not finite; -1 where all are."""
    told = (rollout.observation, rollout.reward, rollout.next_observation)
    fine = [jnp.isfinite(one).reshape(*rollout.reward.shape, -1).all(-1) for one in told]
    bad = ~(fine[0] & fine[1] & fine[2]).reshape(-1)
    return jnp.where(bad.any(), bad.argmax(), -1).astype(jnp.int32)


def require_finite(bad_steps: np.ndarray, env_id: str, num_envs: int, num_steps: int, updates_before: int) -> None:
    """Raises `InputError` where a compiled training met a reward or an observation that is not finite.

    Args:
        bad_steps: the metric ``bad_step`` ``[U]`` of successive updates of one training.
        env_id: names the environment in the message.
        num_envs: ``B``.
        num_steps: ``T``.
        updates_before: updates of the training before these.
    """
    wrong = np.flatnonzero(bad_steps >= 0)
    if len(wrong):
        time, row = divmod(int(bad_steps[wrong[0]]), num_envs)
        step = (updates_before + int(wrong[0])) * num_steps + time
        raise not_finite(env_id, row, step)


def not_finite(env_id: str, row: int, step: int) -> InputError:
    """Returns the error for a ``step``, counted from 0 in the environment of that ``row``, that is not finite."""
    return InputError(f"expected finite observations and rewards from {env_id}, got others in row {row} at step {step}")
