import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from gymnasium import spaces

from envs.errors import InputError
from envs.files import read_json
from envs.log_format import column_file, npy_header
from envs.log_writer import LogWriter
from envs.logs import Episode, open_log
from envs.spec import EnvSpec

SPEC = EnvSpec("Toy-v0", spaces.Box(-1, 1, (2,), np.float32), spaces.Box(-1, 1, (1,), np.float32))


def make_episode(length: int = 3, seed: int = 0) -> Episode:
    rng = np.random.default_rng(seed)
    observations, actions = rng.uniform(-1, 1, (length + 1, 2)), rng.uniform(-1, 1, (length, 1))
    return Episode(observations, actions, rng.normal(size=length), True, False)


def write_log(path: Path, lengths: list[int]) -> None:
    with LogWriter(path, SPEC, {}) as writer:
        for length in lengths:
            writer.add(make_episode(length))


def test_safe_conversions_are_made(tmp_path: Path) -> None:
    episode = dataclasses.replace(make_episode(), rewards=np.array([1, 2, 3]))
    with LogWriter(tmp_path / "log", SPEC, {}) as writer:
        writer.add(episode)
    log = open_log(tmp_path / "log")
    assert (log.observations.dtype, log.rewards.dtype) == (np.float32, np.float32)
    np.testing.assert_array_equal(log.episode(0).observations, episode.observations.astype(np.float32))


@pytest.mark.parametrize("space", [spaces.Discrete(3, start=-1), spaces.MultiDiscrete([2, 3]), spaces.MultiBinary(4)])
@pytest.mark.parametrize("observation_space", [spaces.Discrete(16), spaces.Box(0, 255, (2, 3), np.uint8)])
def test_every_kind_of_space(tmp_path: Path, space: spaces.Space, observation_space: spaces.Space) -> None:
    spec = EnvSpec("Toy-v0", observation_space, space)
    observations, actions = ([one.sample() for _ in range(n)] for one, n in ((observation_space, 3), (space, 2)))
    with LogWriter(tmp_path / "log", spec, {}) as writer:
        writer.add(Episode(np.array(observations), np.array(actions), np.zeros(2), False, True))
    got = open_log(tmp_path / "log").episode(0)
    np.testing.assert_array_equal(got.observations, observations)
    np.testing.assert_array_equal(got.actions, actions)
    assert (got.observations.dtype, got.actions.dtype) == (observation_space.dtype, space.dtype)


def with_value(values: np.ndarray, row: int, value: float) -> np.ndarray:
    values = values.copy()
    values[row] = value
    return values


def bad_episodes() -> dict[str, Episode]:
    good = make_episode()
    observations, actions, rewards = good.observations, good.actions, good.rewards
    changes: dict[str, dict] = {
        r"observations of episode 1, row 2: expected finite numbers, got nan": {
            "observations": with_value(observations, 2, np.nan)
        },
        r"rewards of episode 1, row 0: expected finite numbers, got inf": {"rewards": with_value(rewards, 0, np.inf)},
        r"rewards of episode 1, row 1: expected finite numbers, got inf ": {"rewards": with_value(rewards, 1, 1e39)},
        r"actions of episode 1, row 1: expected finite numbers, got nan": {"actions": with_value(actions, 1, np.nan)},
        r"actions of episode 1, row 2: expected an action inside Box": {"actions": with_value(actions, 2, 1.5)},
        r"observations of episode 1: expected shape \(4, 2\), got \(3, 2\)": {"observations": observations[:-1]},
        r"rewards of episode 1: expected shape \(3,\), got \(3, 1\)": {"rewards": rewards[:, None]},
        r"actions of episode 1: expected float32 or what converts to it, got complex128": {"actions": actions * 1j},
        r"actions of episode 1: .* got object": {"actions": actions.astype(object)},
        r"expected at least one step in episode 1": {"actions": actions[:0]},
        r"expected episode 1 to end by a termination or a truncation": {"terminated": False},
    }
    return {message.strip(): dataclasses.replace(good, **change) for message, change in changes.items()}


@pytest.mark.parametrize(("message", "episode"), bad_episodes().items())
def test_bad_episode_is_refused_and_changes_nothing(tmp_path: Path, message: str, episode: Episode) -> None:
    with LogWriter(tmp_path / "log", SPEC, {}) as writer:
        writer.add(make_episode())
        with pytest.raises(InputError, match=message):
            writer.add(episode)
        writer.add(make_episode(5, seed=1))
    np.testing.assert_array_equal(open_log(tmp_path / "log").lengths, [3, 5])


@pytest.mark.parametrize("actions", [np.array([0.0, 1.0]), np.array([0, 2])])
def test_bad_discrete_actions(tmp_path: Path, actions: np.ndarray) -> None:
    spec = dataclasses.replace(SPEC, action_space=spaces.Discrete(2))
    episode = Episode(np.zeros((3, 2)), actions, np.zeros(2), True, False)
    with LogWriter(tmp_path / "log", spec, {}) as writer, pytest.raises(InputError, match="actions of episode 0"):
        writer.add(episode)


def test_whole_numbers_are_never_wrapped(tmp_path: Path) -> None:
    spec = dataclasses.replace(SPEC, observation_space=spaces.Box(0, 255, (2,), np.uint8))
    fits, too_large = (dataclasses.replace(make_episode(), observations=np.full((4, 2), n)) for n in (255, 256))
    with LogWriter(tmp_path / "log", spec, {}) as writer:
        writer.add(fits)
        with pytest.raises(InputError, match="observations of episode 1: expected uint8 or what converts to it"):
            writer.add(too_large)
    assert (open_log(tmp_path / "log").observations == 255).all()


def test_observations_may_leave_their_box(tmp_path: Path) -> None:
    episode = dataclasses.replace(make_episode(), observations=np.full((4, 2), 1.5))
    with LogWriter(tmp_path / "log", SPEC, {}) as writer:
        writer.add(episode)
    assert open_log(tmp_path / "log").observations.max() == 1.5


def test_spaces_of_several_arrays_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="actions that are one array of a fixed shape"):
        LogWriter(tmp_path / "log", dataclasses.replace(SPEC, action_space=spaces.Dict({"a": spaces.Discrete(2)})), {})
    assert not (tmp_path / "log").exists()


def test_taken_place_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with LogWriter(path, SPEC, {}) as writer:
        writer.add(make_episode())
    with pytest.raises(InputError, match="already holds a log"):
        LogWriter(path, SPEC, {})
    with LogWriter(path, SPEC, {}, overwrite=True) as writer:
        writer.add(make_episode(7))
    assert open_log(path).num_steps == 7


def test_only_a_log_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="something that is not a log"):
        LogWriter(tmp_path, SPEC, {}, overwrite=True)
    assert (tmp_path / "thesis.txt").exists()


def test_log_without_episode_vanishes_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="in episode 0, got none"):
        write_log(tmp_path / "log", [0])
    assert not any(tmp_path.iterdir())


def test_finished_episodes_survive_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="in episode 2, got none"):
        write_log(tmp_path / "log", [3, 4, 0])
    np.testing.assert_array_equal(open_log(tmp_path / "log").lengths, [3, 4])


def test_closed_writer_takes_nothing(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path / "log", SPEC, {})
    writer.close()
    writer.close()
    with pytest.raises(InputError, match="was closed"):
        writer.add(make_episode())


def test_appending_gives_the_same_log_as_one_go(tmp_path: Path) -> None:
    with LogWriter(tmp_path / "whole", SPEC, {}) as writer:
        for seed in range(4):
            writer.add(make_episode(3 + seed, seed))
    for seed in range(4):
        with LogWriter(tmp_path / "parts", SPEC, {"part": seed}, append=True) as writer:
            assert writer.num_episodes == seed
            writer.add(make_episode(3 + seed, seed))
    whole, parts = open_log(tmp_path / "whole"), open_log(tmp_path / "parts")
    assert whole.sha256 == parts.sha256
    assert parts.manifest["source"] == {"part": 0, "first_episode": 0}
    assert [one["first_episode"] for one in parts.manifest["appended"]] == [1, 2, 3]
    for file in whole.path.glob("*.npy"):
        assert file.read_bytes() == (parts.path / file.name).read_bytes()


@pytest.mark.parametrize("continue_with", ["nothing", "an episode"])
def test_leftovers_of_an_interrupted_add_do_not_count(tmp_path: Path, continue_with: str) -> None:
    """Rows and a header that counts them, but no manifest: the state between the two halves of `LogWriter.add`."""
    path = tmp_path / "log"
    writer = LogWriter(path, SPEC, {})
    writer.add(make_episode())
    writer._close_files()  # as a kill would: nothing is cut off, the manifest says that the log is open
    for name, column in writer._columns.items():
        file = column_file(path, name)
        with file.open("rb+") as opened:
            opened.write(npy_header(column, 99))
            opened.seek(0, os.SEEK_END)
            opened.write(b"\xff" * 37)
    np.testing.assert_array_equal(open_log(path).lengths, [3])
    with LogWriter(path, SPEC, {}, append=True) as writer:
        if continue_with == "an episode":
            writer.add(make_episode(2))
    log = open_log(path)
    np.testing.assert_array_equal(log.lengths, [3, 2] if continue_with == "an episode" else [3])
    assert len(np.load(path / "observations.npy")) == len(log.observations)


def test_log_is_marked_as_open_before_anything_is_appended(tmp_path: Path) -> None:
    """Otherwise what a kill leaves behind the rows that count would look like damage."""
    for _ in range(3):
        with LogWriter(tmp_path / "log", SPEC, {}, append=True) as writer:
            assert not read_json(tmp_path / "log/manifest.json")["closed"]
            writer.add(make_episode())
        assert read_json(tmp_path / "log/manifest.json")["closed"]


def test_failed_write_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full in the middle of an episode: what was written of it does not count, also after closing."""
    with LogWriter(tmp_path / "log", SPEC, {}) as writer:
        writer.add(make_episode())
        write = writer._write
        with monkeypatch.context() as patch:
            patch.setattr(writer, "_write", lambda name, rows: write(name, rows) if name != "truncated" else 1 / 0)
            with pytest.raises(ZeroDivisionError):
                writer.add(make_episode(9))
        writer.add(make_episode(4))
    np.testing.assert_array_equal(open_log(tmp_path / "log").lengths, [3, 4])


def test_appending_to_a_damaged_or_other_log_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with LogWriter(path, SPEC, {}) as writer:
        writer.add(make_episode())
    with pytest.raises(InputError, match="disagree on action_space"):
        LogWriter(path, dataclasses.replace(SPEC, action_space=spaces.Discrete(2)), {}, append=True)
    file = path / "rewards.npy"
    file.write_bytes(file.read_bytes()[:-1] + b"\x01")
    with pytest.raises(InputError, match=r"rewards.npy is truncated or changed"):
        LogWriter(path, SPEC, {}, append=True)


RECORDER = """
import sys
from envs.policy import RandomPolicy
from envs.record import record
from envs.spec import spec_of
record(RandomPolicy(spec_of("CartPole-v1")), "CartPole-v1", 10**9, 0, sys.argv[1])
"""


def test_killed_recorder_leaves_its_finished_episodes(tmp_path: Path) -> None:
    path = tmp_path / "log"
    process = subprocess.Popen([sys.executable, "-c", RECORDER, str(path)])
    try:
        while process.poll() is None and not (path.exists() and read_json(path / "manifest.json")["num_episodes"] >= 5):
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    log = open_log(path)
    assert process.returncode == -signal.SIGKILL
    assert not log.manifest["closed"]
    assert log.terminated.sum() == log.num_episodes >= 5
    first = log.episode(0)
    with LogWriter(path, log.spec, {}, append=True) as writer:
        writer.add(first)
    assert open_log(path).num_episodes == log.num_episodes + 1
