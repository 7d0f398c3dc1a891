"""Evolution on two devices: members are spread over both, and it finds what it finds on one.

The CPU stands for two devices in a process of its own, which runs this file.
"""

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs.dense import dense
from synthetic_envs.configs import EvolutionConfig
from synthetic_envs.evolution import Outcome, Problem, evolve, make_evaluate, start_evolution
from synthetic_envs.executor import InProcess, Job

START = {"w": jnp.eye(3), "b": jnp.zeros(3)}
CONFIG = EvolutionConfig(num_generations=2, population_size=6, num_checks=2)


def member(key: jax.Array, params: dict[str, jax.Array], generation: jax.Array) -> Outcome:
    """Like an agent's: gradient steps in a loop, then episodes that last as long as they last."""
    inputs = jax.random.normal(key, (5, 3))

    def loss(params: dict[str, jax.Array]) -> jax.Array:
        return (dense(inputs, params["w"], params["b"]) ** 2).mean()

    def step(params: dict[str, jax.Array], _: None) -> tuple[dict[str, jax.Array], None]:
        return jax.tree.map(lambda x, slope: x - 0.1 * slope, params, jax.grad(loss)(params)), None

    trained, _ = jax.lax.scan(step, params, length=5)
    chance = jnp.abs(trained["b"]).sum() + 0.1

    def go_on(now: tuple[jax.Array, jax.Array]) -> jax.Array:
        return jax.random.uniform(now[1]) > chance

    start = (jnp.int32(0), jax.random.fold_in(key, 1))
    steps, _ = jax.lax.while_loop(go_on, lambda now: (now[0] + 1, jax.random.fold_in(now[1], now[0])), start)
    return Outcome(-loss(trained), steps + generation, steps)


def found() -> dict[str, Any]:
    """Returns what two generations bring, and how many members of an even and an odd job each device has evaluated."""
    problem = Problem(START, (member,))
    evaluate, start = make_evaluate(problem, CONFIG, 0), start_evolution(problem, CONFIG, 0)
    generations = list(evolve(problem, CONFIG, 0, executor=InProcess(evaluate)))
    even, odd = (evaluate(start, Job(0, np.arange(size, dtype=np.int32))) for size in (8, 7))
    return {
        "fitness": np.stack([one.fitness for one in generations]),
        "score": np.stack([one.score for one in generations]),
        "real_steps": [one.real_steps for one in generations],
        "state": jax.tree.map(np.asarray, jax.tree.leaves(generations[-1].state)),
        "odd": np.asarray(odd.fitness),
        "shards": [{str(shard.device): shard.data.shape for shard in one.fitness.addressable_shards}
                   for one in (even, odd)],
    }  # fmt: skip


@pytest.mark.slow
def test_two_devices_share_the_members_and_find_what_one_finds(tmp_path):
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"}
    subprocess.run([sys.executable, __file__, tmp_path / "found"], env=environment, check=True)
    one, two = found(), pickle.loads((tmp_path / "found").read_bytes())
    assert list(two["shards"][0].values()) == [(4,), (4,)]  # by device, so there are two
    assert list(two["shards"][1].values()) == [(7,)]  # what does not divide evenly stays on one
    assert len(np.unique(one["fitness"])) == 12  # members differ, so that mixing them up would show
    assert len(np.unique(one["score"])) > 1
    np.testing.assert_array_equal(two["score"], one["score"])
    assert two["real_steps"] == one["real_steps"]
    for name in ("fitness", "odd"):
        np.testing.assert_allclose(two[name], one[name], rtol=1e-5)
    for there, here in zip(two["state"], one["state"], strict=True):
        np.testing.assert_allclose(there, here, rtol=1e-5, atol=1e-6)


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(pickle.dumps(found()))
