"""Speed of logs: sampling windows, reading transitions, appending episodes. Prints one JSON line a case.

``ours`` is CPU time; ``floor`` is the same windows by a plain numpy index from arrays in memory, in the same run.
Run it with ``python -m benchmarks.logs``.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from gymnasium import spaces

from benchmarks.reporting import report
from envs.chunks import ChunkSampler
from envs.log_writer import LogWriter
from envs.logs import Episode, Log, open_log
from envs.spec import EnvSpec

BATCH, LENGTH, OBSERVATION, ACTION = 32, 64, 24, 6
NUM_EPISODES, EPISODE_STEPS = 1000, 1000
UNIT = "transitions per CPU second"
COLUMNS = ("actions", "rewards", "terminated", "truncated")
SPEC = EnvSpec(
    "Toy-v0", spaces.Box(-np.inf, np.inf, (OBSERVATION,), np.float32), spaces.Box(-1, 1, (ACTION,), np.float32)
)


def main() -> None:
    """Measures every case on a log of a million steps, made in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        append = per_second(lambda: write_log(Path(folder) / "log"), NUM_EPISODES * EPISODE_STEPS, repeats=1)
        log = open_log(Path(folder) / "log")
        sampler, rng = ChunkSampler(log, LENGTH), np.random.default_rng(0)
        sample = per_second(lambda: sampler.sample(BATCH, rng), BATCH * LENGTH, repeats=2000)
        floor = per_second(plain_index(log, rng), BATCH * LENGTH, repeats=2000)
        transitions = per_second(log.transitions, log.num_steps, repeats=3)
        verify = per_second(lambda: open_log(log.path), log.num_steps, repeats=3)
    report("sample windows [32, 64], float32 x 24", UNIT, sample, goal=10e6, floor=floor)
    report("read all transitions into memory", UNIT, transitions)
    report("open a log and verify its checksums", UNIT, verify)
    report("validate and append episodes of 1000 steps", UNIT, append)


def per_second(run: Callable[[], object], count: int, repeats: int) -> float:
    """Returns ``count`` over the CPU seconds of one call, the mean of ``repeats`` calls."""
    for _ in range(repeats // 10):
        run()
    start = time.process_time()
    for _ in range(repeats):
        run()
    return count * repeats / (time.process_time() - start)


def plain_index(log: Log, rng: np.random.Generator) -> Callable[[], object]:
    """Windows of arrays in memory, an index for every row; ends of episodes are ignored."""
    observations, *columns = (np.array(getattr(log, name)) for name in ("observations", *COLUMNS))

    def run() -> object:
        rows = rng.integers(len(observations) - LENGTH, size=BATCH)[:, None] + np.arange(LENGTH + 1)
        return [observations[rows], *(column[rows[:, :-1]] for column in columns)]

    return run


def write_log(path: Path) -> None:
    rng = np.random.default_rng(0)
    observations = rng.standard_normal((EPISODE_STEPS + 1, OBSERVATION), np.float32)
    actions = rng.uniform(-1, 1, (EPISODE_STEPS, ACTION)).astype(np.float32)
    episode = Episode(observations, actions, np.ones(EPISODE_STEPS, np.float32), False, True)
    with LogWriter(path, SPEC, {"kind": "benchmark"}) as writer:
        for _ in range(NUM_EPISODES):
            writer.add(episode)


if __name__ == "__main__":
    main()
