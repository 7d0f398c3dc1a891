"""Speed of world models: training, stepping, the Gymnasium faces, and windows from a log of 4 GiB.

HalfCheetah-sized: 17 observation dimensions, 6 actions, 7 members of 4 hidden layers of 200. Rates are wall time on two
threads where two help (`envs.threads.threads_for`), the best of several rounds. ``floor`` is the matrix products alone,
in the same run; ``peer`` is mbrl-lib as FACTS has it (measured on such a machine, not in this run: it needs packages
that no longer install beside ours). Run it with ``python -m benchmarks.worldmodels``; it takes about four minutes.
"""

import itertools
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from gymnasium import spaces

from benchmarks.reporting import best_rate, report
from envs.chunks import ChunkSampler
from envs.log_writer import LogWriter
from envs.logs import Episode, Log, open_log
from envs.spec import EnvSpec
from envs.threads import threads_for, torch_threads
from worldmodels.configs import EnsembleConfig, FitConfig
from worldmodels.families.ensemble import Ensemble, EnsembleParts
from worldmodels.gym.env import make_env
from worldmodels.gym.vector_env import make_vector_env
from worldmodels.saved_model import LoadOptions
from worldmodels.saving import save_model
from worldmodels.training.fit import fit_model

CHEETAH = EnvSpec(
    "Cheetah-sized", spaces.Box(-np.inf, np.inf, (17,), np.float32), spaces.Box(-1, 1, (6,), np.float32),
    max_episode_steps=1000,
)  # fmt: skip
CARTPOLE = EnvSpec(
    "CartPole-sized", spaces.Box(-np.inf, np.inf, (4,), np.float32), spaces.Discrete(2), max_episode_steps=500
)
PETS = EnsembleConfig(num_members=7, num_elites=5, hidden=(200, 200, 200, 200), propagation="ts1")
BATCH = 256
PEER = "mbrl-lib, November 2026, not in this run"
PEER_STEPS = {1: 7e3, 256: 152e3, 10_000: 230e3}
"""mbrl-lib's steps/s; its smallest batch is 5."""
GOAL_STEPS = {1: 3e3, 256: 300e3, 10_000: 400e3}
BIG_LOG_BYTES = 4 * 2**30


def main() -> None:
    """Measures every case; files go to a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        training(Path(folder))
        model = fitted(Path(folder) / "cheetah", CHEETAH, PETS)
        stepping(model)
        vector_faces(Path(folder), model)
        single_face(Path(folder))
        windows(Path(folder))


def training(folder: Path) -> None:
    log = synthetic_log(folder / "training", CHEETAH, num_episodes=20)
    threads = threads_for(3 * step_work(PETS, CHEETAH) * PETS.num_members * BATCH)
    floor = training_floor(threads)
    for precision in ("32-true", "bf16-mixed"):
        ours = updates_per_second(log, FitConfig(num_threads=threads, precision=precision, batch_size=BATCH))
        report(f"training, batch {BATCH}, {precision}", "updates/s", ours, 120, floor, 56, PEER)


def updates_per_second(log: Log, fit: FitConfig, num_updates: int = 300) -> float:
    """Time of the gradient steps alone: a long training's seconds less those of one that takes a single step."""

    def seconds(updates: int) -> float:
        settings = FitConfig(
            num_updates=updates, validate_every=updates, num_threads=fit.num_threads, precision=fit.precision
        )
        return float(fit_model(log, PETS, settings, progress=None).trained.provenance["seconds"])

    seconds(10)
    return max((num_updates - 1) / (seconds(num_updates) - seconds(1)) for _ in range(3))


def training_floor(threads: int) -> float:
    """Updates/s of the matrix products of a forward and a backward pass, in float32."""
    members, layers = PETS.num_members, layers_of(PETS, CHEETAH)
    weights = [torch.randn(members, *layer) for layer in layers]
    inputs = [torch.randn(members, BATCH, fan_in) for fan_in, _ in layers]
    slopes = [torch.randn(members, BATCH, fan_out) for _, fan_out in layers]

    def products() -> None:
        for i, (weight, values, slope) in enumerate(zip(weights, inputs, slopes, strict=True)):
            torch.bmm(values, weight)
            torch.bmm(values.transpose(1, 2), slope)
            if i > 0:
                torch.bmm(slope, weight.transpose(1, 2))

    with torch_threads(threads):
        return best_rate(products, 1)


def stepping(model: Ensemble) -> None:
    """One member a row is followed, as in mbrl-lib; asking all for their disagreement costs as many times more."""
    fast = Ensemble(model.trained, model.parts, LoadOptions(epistemic=False))
    for rows, goal in GOAL_STEPS.items():
        threads = threads_for(rows * step_work(PETS, CHEETAH))
        with torch_threads(threads):
            floor = best_rate(products_of_a_step(rows), rows)
            ours = best_rate(stepper(fast, rows), rows)
        report(f"stepping, {rows} rows, ts1", "steps/s", ours, goal, floor, PEER_STEPS[rows], PEER)
    for rows in (256, 10_000):
        with torch_threads(threads_for(rows * PETS.num_members * step_work(PETS, CHEETAH))):
            report(f"stepping, {rows} rows, ts1 with uncertainty", "steps/s", best_rate(stepper(model, rows), rows))


def products_of_a_step(rows: int) -> Callable[[], None]:
    per_member = -(-rows // PETS.num_members)
    layers = [torch.randn(PETS.num_members, *layer) for layer in layers_of(PETS, CHEETAH)]
    inputs = torch.randn(PETS.num_members, per_member, layers[0].shape[1])

    def products() -> None:
        values = inputs
        for layer in layers:
            values = torch.bmm(values, layer)

    return products


def stepper(model: Ensemble, rows: int) -> Callable[[], None]:
    generator = torch.Generator().manual_seed(0)
    states = [model.encode(torch.zeros(rows, 17))]
    action = torch.rand(rows, 6, generator=generator) * 2 - 1

    def step() -> None:
        states[0] = model.step(states[0], action, generator).state

    return step


def vector_faces(folder: Path, model: Ensemble) -> None:
    """Ours and floor in the same unit: the floor is the bare model, stepped with the same actions and propagation."""
    save_model(model, folder / "cheetah-model")
    for rows in (256, 10_000):
        env = make_vector_env(rows, str(folder / "cheetah-model"), epistemic=False)
        env.reset(seed=0)
        actions = np.random.default_rng(0).uniform(-1, 1, (rows, 6)).astype(np.float32)
        fast = Ensemble(model.trained, model.parts, LoadOptions(epistemic=False))
        with torch_threads(threads_for(rows * step_work(PETS, CHEETAH))):
            rates = [
                (best_rate(stepper(fast, rows), rows, 0.5), best_rate(lambda: env.step(actions), rows, 0.5))  # noqa: B023
                for _ in range(3)
            ]
        floor, ours = (max(rate) for rate in zip(*rates, strict=True))
        report(f"VectorEnv, {rows} rows", "steps/s", ours, round(0.8 * floor), floor)


def single_face(folder: Path) -> None:
    save_model(fitted(folder / "cartpole", CARTPOLE, EnsembleConfig()), folder / "cartpole-model")
    env = make_env(str(folder / "cartpole-model"))
    env.reset(seed=0)

    def step() -> None:
        _, _, terminated, truncated, _ = env.step(0)
        if terminated or truncated:
            env.reset()

    with torch_threads(1):
        report("Env, CartPole-sized ensemble", "steps/s", best_rate(step, 1), 2000)


def windows(folder: Path) -> None:
    """Windows [32, 64] of a log of 4 GiB; memory is what the process holds for itself (the mapped file is not)."""
    bytes_per_episode = 1001 * (17 * 4 + 6 * 4 + 4 + 2)
    log = synthetic_log(folder / "big", CHEETAH, num_episodes=BIG_LOG_BYTES // bytes_per_episode, repeated=True)
    before = own_memory()
    sampler, random = ChunkSampler(log, 64), np.random.default_rng(0)
    ours = best_rate(lambda: sampler.sample(32, random), 32 * 64, seconds=10)
    held = {name: np.array(getattr(log, name)[:1_000_000]) for name in ("observations", "actions", "rewards")}
    rows = np.arange(64)

    def index() -> object:
        chosen = random.integers(len(held["rewards"]) - 64, size=32)[:, None] + rows
        return [column[chosen] for column in held.values()]

    case = f"windows [32, 64] of a {log.num_steps / 1e6:.0f}M-step log on disk"
    report(case, "transitions/s", ours, 10e6, best_rate(index, 32 * 64))
    grown = own_memory() - before - sum(column.nbytes for column in held.values())
    report("memory that sampling it needs", "MiB", grown / 2**20)


def own_memory() -> int:
    """Bytes of anonymous memory of this process, which is 0 where the system does not tell."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))


def fitted(path: Path, spec: EnvSpec, config: EnsembleConfig) -> Ensemble:
    """A hardly trained ensemble: what it predicts does not matter here."""
    log = synthetic_log(path, spec, num_episodes=5)
    model = fit_model(log, config, FitConfig(num_updates=2, validate_every=2), progress=None)
    assert isinstance(model, Ensemble)
    return Ensemble(model.trained, EnsembleParts(config, model.parts.network, model.parts.normalisers))


def synthetic_log(path: Path, spec: EnvSpec, num_episodes: int, steps: int = 1000, repeated: bool = False) -> Log:
    """A log of random numbers without terminations; ``repeated`` writes the same episode again and again."""
    random, size = np.random.default_rng(0), spec.observation_space.shape
    spec.action_space.seed(0)
    with LogWriter(path, spec, {"kind": "benchmark"}) as writer:
        episode: Episode | None = None
        for _ in range(num_episodes):
            if episode is None or not repeated:
                observations = random.standard_normal((steps + 1, *(size or ())), np.float32)
                actions = np.stack([spec.action_space.sample() for _ in range(steps)])
                rewards = random.standard_normal(steps, np.float32)
                episode = Episode(observations, actions, rewards, terminated=False, truncated=True)
            writer.add(episode)
    return open_log(path, verify=False)


def layers_of(config: EnsembleConfig, spec: EnvSpec) -> list[tuple[int, int]]:
    """Widths in and out of each layer of the dynamics networks."""
    num_dims, num_actions = int(np.prod(spec.observation_space.shape or ())), 6
    widths = (num_dims + num_actions, *config.hidden, 2 * (num_dims + 1))
    return list(itertools.pairwise(widths))


def step_work(config: EnsembleConfig, spec: EnvSpec) -> int:
    """Multiplications to step one row with one member."""
    return sum(fan_in * fan_out for fan_in, fan_out in layers_of(config, spec))


if __name__ == "__main__":
    main()
