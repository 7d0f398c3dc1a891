"""What brax needs to run under a current JAX; `test_brax_adapter` has the environments themselves."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs.brax_adapter import brax, make_brax
from envs.brax_mending import mend_fluid, mend_training, quiet


def test_the_mended_clip_knows_the_old_name_and_the_new_ones():
    mend_fluid()
    clip, x = brax.fluid.jp.clip, jnp.array([-2.0, 0.5, 2.0])
    np.testing.assert_array_equal(clip(x, a_min=0.0), [0, 0.5, 2])
    np.testing.assert_array_equal(clip(x, -1.0, 1.0), [-1, 0.5, 1])
    np.testing.assert_array_equal(clip(x, max=0.0), [-2, 0, 0])
    assert brax.fluid.jp.sum is jnp.sum


def test_only_brax_own_modules_are_touched():
    mend_fluid()
    with pytest.raises(TypeError):
        jnp.clip(jnp.ones(1), a_min=0.0)
    mend_training()
    with pytest.raises(AttributeError):
        _ = jax.device_put_replicated


def test_mending_twice_changes_nothing():
    mend_fluid()
    mend_fluid()
    np.testing.assert_array_equal(brax.fluid.jp.clip(jnp.array([-1.0]), a_min=0.0), [0])


def test_replication_gives_each_device_a_copy():
    code = """
import jax, numpy as np
from envs.brax_mending import mend_training
mend_training()
from brax.training.pmap import bcast_local_devices
copies = bcast_local_devices({"a": np.arange(3.0), "b": 2.0}, 2)
assert copies["a"].shape == (2, 3) and copies["b"].shape == (2,)
assert [shard.device.id for shard in copies["a"].addressable_shards] == [0, 1]
doubled = jax.pmap(lambda tree: tree["a"] * tree["b"], devices=jax.local_devices()[:2])(copies)
np.testing.assert_array_equal(doubled, [[0, 2, 4], [0, 2, 4]])
"""
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=3"}
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.slow
def test_brax_own_ppo_trains():
    mend_training()
    from brax.training.agents.ppo.train import train

    with quiet():
        _, params, metrics = train(
            brax.envs.get_environment("fast"), num_timesteps=200, episode_length=10, num_envs=4, batch_size=4,
            num_minibatches=1, unroll_length=5, num_evals=1, num_eval_envs=2,
        )  # fmt: skip
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params))
    assert metrics["eval/episode_reward"] > 0


@pytest.mark.slow
def test_swimmer_steps():
    env = make_brax("swimmer")
    _, state = jax.jit(env.reset)(jax.random.key(0), ())
    observation, _, reward, *_ = jax.jit(env.step)(jax.random.key(0), state, jnp.ones(2), ())
    assert np.isfinite(observation).all()
    assert np.isfinite(reward)
