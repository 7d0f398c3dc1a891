"""SAC on a mixture of real and imagined transitions: Dyna (Sutton 1990) as in MBPO (Janner et al. 2019).

Who imagines is not known here: whoever owns a model fills the `Replay` of imagined transitions.

Shape legend: ``N`` rows of a minibatch, ``R`` real transitions, ``C`` capacity for imagined ones.
"""

from functools import partial

import jax
import jax.numpy as jnp

from agents.algorithms.sac import Brain, Hyperparameters, gradient_step
from agents.configs import SACConfig
from agents.networks.soft_actor_critic import SACNetworks
from agents.replay.ring import Replay, Transitions, draw, take


@partial(jax.jit, static_argnames=("networks", "config", "num_steps", "num_real"))
def learn_from_both(
    brain: Brain,
    real: Transitions,
    imagined: Replay,
    key: jax.Array,
    hyper: Hyperparameters,
    networks: SACNetworks,
    config: SACConfig,
    num_steps: int,
    num_real: int,
) -> tuple[Brain, dict[str, jax.Array]]:
    """Takes ``num_steps`` gradient steps on minibatches of both kinds.

    Args:
        brain: the networks.
        real: ``[R, ...]``.
        imagined: at least one transition must have been added.
        key: draws the minibatches and the policy's actions in them.
        hyper: the numeric settings.
        networks: static.
        config: static; its ``batch_size`` is ``N``.
        num_steps: static.
        num_real: real rows in a minibatch, from 0 to ``N``, static.

    Returns:
        The new networks and the means of `agents.algorithms.sac.loss`'s metrics.
    """

    def one_step(brain: Brain, step_key: jax.Array) -> tuple[Brain, dict[str, jax.Array]]:
        real_key, imagined_key, learn_key = jax.random.split(step_key, 3)
        seen = jax.random.randint(real_key, (num_real,), 0, len(real.reward))
        dreamt = draw(imagined, imagined_key, (config.batch_size - num_real,))
        rows = (jax.tree.map(lambda x: x[seen], real), take(imagined, dreamt))
        batch = jax.tree.map(lambda *parts: jnp.concatenate(parts), *rows)
        brain, _, metrics = gradient_step(brain, batch, jnp.ones(config.batch_size), learn_key, networks, hyper)
        return brain, metrics

    brain, metrics = jax.lax.scan(one_step, brain, jax.random.split(key, num_steps))
    return brain, jax.tree.map(jnp.mean, metrics)
