"""Speed of the agents: compiled PPO, DQN and SAC at rejax's settings, many seeds, the host loop, compiling, memory.

Every case runs in a process of its own with one thread, so that its CPU-seconds are those of one core. ``floor`` is the
matrix products of the networks alone, in the same process; peers run in the same run: Stable-Baselines3 from our own
environment, and rejax 0.1.3 where ``--rejax-python`` names an interpreter that has it (it needs gymnax below 1, so it
cannot live beside ours). What is not there is said to be missing, with FACTS' figure in its place.

Run it with ``python -m benchmarks.agents``; it takes about eight minutes.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.reporting import report

ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "NPROC": "1",  # of XLA's own threads, which it wakes for loops of a few hundred numbers
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "SIMULACRA_CACHE": "off",
}
PPO = {
    "num_envs": 5, "num_steps": 100, "num_epochs": 5, "num_minibatches": 5, "learning_rate": 7.5e-4, "gamma": 0.99,
    "gae_lambda": 0.95, "entropy_coefficient": 0.01, "anneal": False,
}  # fmt: skip
DQN = {
    "total_steps": 100_000, "num_envs": 10, "gradient_steps": 5, "batch_size": 100, "buffer_size": 50_000,
    "warmup_steps": 5_000, "activation": "silu", "learning_rate": 1e-3, "tau": 0.02, "target_period": 1,
    "max_grad_norm": 10.0, "double": True, "dueling": True,
}  # fmt: skip
SAC = {
    "total_steps": 10_000, "num_envs": 1, "gradient_steps": 1, "batch_size": 256, "buffer_size": 10_000,
    "warmup_steps": 256, "activation": "silu", "learning_rate": 1e-2, "tau": 0.02, "normalise_observations": True,
}  # fmt: skip
REJAX = """
import json, sys, time, jax, rejax
name, settings = sys.argv[1], json.loads(sys.argv[2])
make = {"ppo": rejax.PPO, "dqn": rejax.DQN, "sac": rejax.SAC}[name]
algorithm = make.create(**settings, skip_initial_evaluation=True).replace(eval_callback=lambda *_: ())
start = time.process_time()
train = jax.jit(algorithm.train).lower(jax.random.PRNGKey(0)).compile()
compiled, best = time.process_time() - start, float("inf")
for seed in range(3):
    start = time.process_time()
    jax.block_until_ready(train(jax.random.PRNGKey(seed)))
    best = min(best, time.process_time() - start)
print(json.dumps({"rate": settings["total_timesteps"] / best, "compile": compiled}))
"""
REJAX_SETTINGS: dict[str, dict[str, Any]] = {
    "ppo": {
        "env": "CartPole-v1", "agent_kwargs": {"activation": "tanh"}, "num_envs": 5, "num_steps": 100, "num_epochs": 5,
        "num_minibatches": 5, "learning_rate": 7.5e-4, "max_grad_norm": 0.5, "total_timesteps": 100_000,
        "eval_freq": 100_000, "gamma": 0.99, "gae_lambda": 0.95, "clip_eps": 0.2, "ent_coef": 0.01, "vf_coef": 0.5,
    },
    "dqn": {
        "env": "CartPole-v1", "agent": "DuelingQNetwork", "agent_kwargs": {"activation": "swish"}, "num_envs": 10,
        "buffer_size": 50_000, "fill_buffer": 5_000, "batch_size": 100, "max_grad_norm": 10, "learning_rate": 1e-3,
        "num_epochs": 5, "total_timesteps": 100_000, "eval_freq": 100_000, "polyak": 0.98, "eps_start": 1,
        "eps_end": 0.05, "exploration_fraction": 0.5, "gamma": 0.99, "ddqn": True,
    },
    "sac": {
        "env": "Pendulum-v1", "agent_kwargs": {"activation": "swish"}, "num_envs": 1, "buffer_size": 10_000,
        "fill_buffer": 256, "batch_size": 256, "learning_rate": 0.01, "num_epochs": 1, "total_timesteps": 10_000,
        "eval_freq": 10_000, "gamma": 0.99, "polyak": 0.98, "normalize_observations": True,
    },
}  # fmt: skip
FACTS_RATES = {"ppo": 127_000.0, "dqn": 3_100.0, "sac": 870.0}
"""rejax's steps per CPU-second where it cannot be run, from FACTS."""
Rejax = Callable[[str], tuple[float, str]]


def main() -> None:
    """Runs all cases, or, in a process of its own, one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rejax-python", default="", help="an interpreter that has rejax")
    parser.add_argument("--case", choices=CASES, help="one case, in this process")
    given = parser.parse_args()
    if given.case:
        CASES[given.case](lambda name: rejax_rate(given.rejax_python, name))
        return
    for name in [name for name in CASES if name != "memory-of"]:
        command = [sys.executable, "-m", "benchmarks.agents", "--case", name, "--rejax-python", given.rejax_python]
        subprocess.run(command, env={**os.environ, **ONE_THREAD}, check=True)


def rejax_rate(python: str, name: str) -> tuple[float, str]:
    """Returns rejax's steps per CPU-second and what to call it, measured now or from FACTS."""
    if not python:
        return FACTS_RATES[name], "rejax (not measured now)"
    command = [python, "-c", REJAX, name, json.dumps(REJAX_SETTINGS[name])]
    found = subprocess.run(command, env={**os.environ, **ONE_THREAD}, check=True, capture_output=True, text=True)
    rate: float = json.loads(found.stdout.splitlines()[-1])["rate"]
    return rate, "rejax 0.1.3"


def trained(env_id: str, config: Any, rounds: int = 4) -> tuple[float, float]:
    """Returns steps per CPU-second of a whole compiled training, the best of ``rounds``, and CPU-seconds to compile."""
    import jax

    from agents.training.compiled import make_compiled_training
    from envs.gymnax_adapter import make_classic_control

    env = make_classic_control(env_id)
    start = time.process_time()
    training = make_compiled_training(env, config)
    given = (jax.random.key(0), env.default_params, training.hyper)
    train = jax.jit(training.train).lower(*given).compile()
    compiling = time.process_time() - start
    best = float("inf")
    for seed in range(rounds):
        start = time.process_time()
        jax.block_until_ready(train(jax.random.key(seed), *given[1:]))
        best = min(best, time.process_time() - start)
    return config.num_updates * config.steps_per_update / best, compiling


def ppo(rejax: Rejax) -> None:
    """Compiled PPO on CartPole against its own matrix products and rejax."""
    from agents.configs import PPOConfig

    rate, compiling = trained("CartPole-v1", PPOConfig(**PPO))
    floor, (peer, name) = products_rate(PPOConfig(**PPO)), rejax("ppo")
    report("PPO CartPole, compiled", "steps per CPU-second", rate, 200_000, floor, peer, name)
    report("PPO CartPole, share of its matrix products", "ratio", rate / floor, 0.5)
    report("PPO CartPole, compiling", "CPU-seconds", compiling, 5.0, lower_is_better=True)


def products_rate(config: Any) -> float:
    """Returns steps per CPU-second of the matrix products alone that an update of PPO on CartPole consists of."""
    import jax

    from benchmarks.matrix_products import ppo_inputs, ppo_products, ppo_weights

    key, num_updates = jax.random.key(0), 200
    nets, data = ppo_weights(key, config, 4, 2), ppo_inputs(key, config, 4)
    run = jax.jit(ppo_products(config, num_updates))
    jax.block_until_ready(run(nets, data))
    best = float("inf")
    for _ in range(6):
        start = time.process_time()
        jax.block_until_ready(run(nets, data))
        best = min(best, time.process_time() - start)
    return num_updates * config.steps_per_update / best


def seeds(rejax: Rejax) -> None:  # noqa: ARG001, one signature for all
    """16 seeds of PPO in one compiled function, compiling included."""
    import jax
    import numpy as np

    from agents.configs import PPOConfig
    from agents.training.compiled import each_seed, make_compiled_training
    from envs.gymnax_adapter import make_classic_control

    env = make_classic_control("CartPole-v1")
    training = make_compiled_training(env, PPOConfig(**PPO))
    given = (env.default_params, training.hyper)
    keys = jax.vmap(jax.random.key)(np.arange(16))
    one_by_one = jax.jit(lambda keys, *given: each_seed(lambda key: training.train(key, *given), keys))
    side_by_side = jax.jit(jax.vmap(training.train, in_axes=(0, None, None)))
    case = "PPO CartPole, 16 seeds x 100,000 steps with compiling"
    for name, train in (("", one_by_one), (", side by side", side_by_side)):
        start = time.process_time()
        jax.block_until_ready(train(keys, *given))
        spent = time.process_time() - start
        report(case + name, "CPU-seconds", spent, 12.0, peer=21.6, peer_name="rejax (FACTS)", lower_is_better=True)


def dqn(rejax: Rejax) -> None:
    """DQN, dueling and double, on CartPole."""
    from agents.configs import DQNConfig

    (rate, compiling), (peer, name) = trained("CartPole-v1", DQNConfig(**DQN), rounds=2), rejax("dqn")
    report("DQN CartPole, compiled", "steps per CPU-second", rate, 6_000, None, peer, name)
    report("DQN CartPole, compiling", "CPU-seconds", compiling, lower_is_better=True)


def sac(rejax: Rejax) -> None:
    """SAC on Pendulum."""
    from agents.configs import SACConfig

    (rate, compiling), (peer, name) = trained("Pendulum-v1", SACConfig(**SAC), rounds=2), rejax("sac")
    report("SAC Pendulum, compiled", "steps per CPU-second", rate, 1_500, None, peer, name)
    report("SAC Pendulum, compiling", "CPU-seconds", compiling, lower_is_better=True)


def host(rejax: Rejax) -> None:  # noqa: ARG001
    """PPO on Gymnasium's own CartPole, against Stable-Baselines3 with the same rollouts, epochs and minibatches."""
    import gymnasium
    import torch
    from stable_baselines3 import PPO as SB3
    from stable_baselines3.common.env_util import make_vec_env

    from agents.configs import PPOConfig
    from agents.training.hosted import train_hosted
    from envs.spec import spec_of

    config = PPOConfig(total_steps=40_960, num_envs=8, num_steps=128, num_epochs=4, num_minibatches=4)
    env, counted, start = gymnasium.make_vec("CartPole-v1", 8, vectorization_mode="sync"), 0, 0.0
    for number, _ in enumerate(train_hosted(env, spec_of("CartPole-v1"), config, seed=0)):
        if number == 4:  # compiled by then
            start = time.process_time()
        counted = number - 4
    ours = counted * config.steps_per_update / (time.process_time() - start)
    torch.set_num_threads(1)
    theirs = SB3("MlpPolicy", make_vec_env("CartPole-v1", 8), n_steps=128, n_epochs=4, batch_size=256, device="cpu")
    theirs.learn(1024)
    start = time.process_time()
    theirs.learn(20_480)
    peer = 20_480 / (time.process_time() - start)
    report("PPO CartPole, host loop", "steps per CPU-second", ours, 2 * peer, None, peer, "Stable-Baselines3")


def start(rejax: Rejax) -> None:  # noqa: ARG001
    """A whole ``simulacra train`` of one rollout, started again: what a start costs."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "SIMULACRA_CACHE": str(Path(folder) / "cache")}
        program = [sys.executable, "-c", "from experiments.cli import main; main()", "train", "--world", "CartPole-v1",
                   "--agent.total-steps", "512", "--overwrite", "--out", str(Path(folder) / "policy")]  # fmt: skip
        seconds = []
        for _ in range(3):
            begun = time.perf_counter()
            subprocess.run(program, env=environment, check=True, capture_output=True)
            seconds.append(time.perf_counter() - begun)
    report("simulacra train, first start to the saved policy", "seconds", seconds[0], lower_is_better=True)
    report("simulacra train, second start to the saved policy", "seconds", min(seconds[1:]), 2.0, lower_is_better=True)


def memory(rejax: Rejax) -> None:  # noqa: ARG001
    """The process's growth by a replay buffer of a million transitions, inside a compiled training, over its bytes."""
    program = [sys.executable, "-m", "benchmarks.agents", "--case", "memory-of"]
    used = {}
    for size in (1_000, 1_000_000):
        found = subprocess.run(program, env={**os.environ, "REPLAY_SIZE": str(size)}, check=True, capture_output=True,
                               text=True)  # fmt: skip
        used[size] = json.loads(found.stdout.splitlines()[-1])
    (small, small_raw), (big, big_raw) = used[1_000], used[1_000_000]
    report("DQN, replay of 1,000,000 transitions over its raw bytes", "ratio", (big - small) / (big_raw - small_raw),
           1.1, lower_is_better=True)  # fmt: skip


def memory_of(rejax: Rejax) -> None:  # noqa: ARG001
    """Prints the peak memory of a short training, and the bytes of its replay buffer."""
    import jax

    from agents.configs import DQNConfig
    from agents.training.compiled import make_compiled_training
    from envs.gymnax_adapter import make_classic_control

    size, env = int(os.environ["REPLAY_SIZE"]), make_classic_control("CartPole-v1")
    config = DQNConfig(**{**DQN, "total_steps": 1_000_000, "buffer_size": size, "warmup_steps": 200})
    training = make_compiled_training(env, config)
    state = jax.jit(training.init)(jax.random.key(0), env.default_params)
    advance = jax.jit(training.advance, static_argnums=3, donate_argnums=0)
    state, _ = advance(state, env.default_params, training.hyper, 100)
    raw = sum(leaf.nbytes for leaf in jax.tree.leaves(state.learner.replay))
    print(json.dumps([1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, raw]))


CASES: dict[str, Callable[[Rejax], None]] = {
    "ppo": ppo, "seeds": seeds, "dqn": dqn, "sac": sac, "host": host, "start": start, "memory": memory,
    "memory-of": memory_of,
}  # fmt: skip

if __name__ == "__main__":
    main()
