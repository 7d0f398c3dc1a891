import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from gymnasium import spaces

from envs.errors import InputError
from envs.files import sha256_of
from envs.log_format import HEADER_BYTES, column_file, contents_sha256
from envs.log_writer import LogWriter
from envs.logs import Episode, Log, open_log
from envs.spec import EnvSpec

SPEC = EnvSpec("Toy-v0", spaces.Box(-1000, 1000, (2,), np.float32), spaces.Discrete(3))
LENGTHS = (3, 1, 4)


def make_episode(length: int, first: float, terminated: bool = False) -> Episode:
    """Observation t is [first + t, -(first + t)], action t is t % 3, reward t is first + t."""
    times = first + np.arange(length + 1, dtype=np.float32)
    observations = np.stack([times, -times], axis=1)
    return Episode(observations, np.arange(length) % 3, times[:-1], terminated, not terminated)


def write_log(path: Path) -> Log:
    with LogWriter(path, SPEC, {"kind": "test"}) as writer:
        for index, length in enumerate(LENGTHS):
            writer.add(make_episode(length, 100 * index, terminated=index == 1))
    return open_log(path)


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return write_log(tmp_path / "log")


def change_manifest(log: Log, **changes: object) -> None:
    (log.path / "manifest.json").write_text(json.dumps(log.manifest | changes))


def flip_byte(file: Path, offset: int) -> None:
    content = bytearray(file.read_bytes())
    content[offset] ^= 1
    file.write_bytes(content)


def test_rows_are_laid_out_as_documented(log: Log) -> None:
    assert (log.num_episodes, log.num_steps) == (3, 8)
    np.testing.assert_array_equal(log.lengths, LENGTHS)
    np.testing.assert_array_equal(log.episode_starts, [0, 4, 6, 11])
    np.testing.assert_array_equal(log.observations[:, 0], [0, 1, 2, 3, 100, 101, 200, 201, 202, 203, 204])
    np.testing.assert_array_equal(log.actions, [0, 1, 2, 0, 0, 0, 0, 1, 2, 0, 0])
    np.testing.assert_array_equal(log.rewards, [0, 1, 2, 0, 100, 0, 200, 201, 202, 203, 0])
    np.testing.assert_array_equal(np.flatnonzero(log.terminated), [4])
    np.testing.assert_array_equal(np.flatnonzero(log.truncated), [2, 9])
    assert log.rewards.dtype == np.float32


def test_arrays_are_mapped_and_cannot_be_written(log: Log) -> None:
    assert isinstance(log.observations, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        log.observations[0] = 0


def test_files_are_plain_npy(log: Log) -> None:
    for name, expected in (("observations", log.observations), ("episode_starts", log.episode_starts)):
        np.testing.assert_array_equal(np.load(column_file(log.path, name), mmap_mode="r"), expected)


def test_episode_is_what_was_added(log: Log) -> None:
    for index, length in enumerate(LENGTHS):
        got, expected = log.episode(index), make_episode(length, 100 * index, terminated=index == 1)
        for name in ("observations", "actions", "rewards"):
            np.testing.assert_array_equal(getattr(got, name), getattr(expected, name))
        assert (got.terminated, got.truncated) == (expected.terminated, expected.truncated)


@pytest.mark.parametrize("episodes", [None, [2, 0], [1], []])
def test_transitions_equal_a_loop_over_episodes(log: Log, episodes: list[int] | None) -> None:
    got = log.transitions(None if episodes is None else np.array(episodes, int))
    chosen = [log.episode(i) for i in (range(3) if episodes is None else episodes)]
    steps = [(e, t) for e in chosen for t in range(len(e.actions))]
    assert len(got.observation) == len(steps)
    for row, (episode, t) in enumerate(steps):
        last = t == len(episode.actions) - 1
        np.testing.assert_array_equal(got.observation[row], episode.observations[t])
        np.testing.assert_array_equal(got.next_observation[row], episode.observations[t + 1])
        assert (got.action[row], got.reward[row]) == (episode.actions[t], episode.rewards[t])
        assert (got.terminated[row], got.truncated[row]) == (last and episode.terminated, last and episode.truncated)


@pytest.mark.parametrize("episodes", [[3], [-1], [0.5], [[0]]])
def test_episodes_outside_the_log_are_refused(log: Log, episodes: list) -> None:
    with pytest.raises(InputError, match="expected episode"):
        log.transitions(np.array(episodes))


def test_hash_tells_contents_apart_but_not_places(log: Log, tmp_path: Path) -> None:
    assert write_log(tmp_path / "same").sha256 == log.sha256
    with LogWriter(tmp_path / "other", SPEC, {}) as writer:
        writer.add(make_episode(3, 1))
    assert open_log(tmp_path / "other").sha256 != log.sha256


def test_pickle_carries_the_path_not_the_data(log: Log) -> None:
    blob = pickle.dumps(log)
    assert len(blob) < 1000
    np.testing.assert_array_equal(pickle.loads(blob).observations, log.observations)


def test_missing_folder_and_manifest(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected a log folder at .*nowhere, found nothing"):
        open_log(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"expected a log with a manifest.json at"):
        open_log(tmp_path)


def test_empty_log(tmp_path: Path) -> None:
    LogWriter(tmp_path / "log", SPEC, {}).close()
    with pytest.raises(InputError, match="found an empty log"):
        open_log(tmp_path / "log")


def test_newer_format(log: Log) -> None:
    change_manifest(log, format_version=2)
    with pytest.raises(InputError, match=r"expected log format 1 or older in .*, found 2"):
        open_log(log.path)


@pytest.mark.parametrize("change", [{"num_steps": 9}, {"num_rows": 10}, {"num_episodes": 2}, {"sha256": "0"}])
def test_changed_manifest(log: Log, change: dict) -> None:
    change_manifest(log, **change)
    with pytest.raises(InputError, match=r"manifest.json was changed"):
        open_log(log.path)


@pytest.mark.parametrize("change", [{"num_rows": "eleven"}, {"columns": None}, {"spec": []}, {"closed": "yes"}])
def test_manifest_with_fields_of_the_wrong_kind(log: Log, change: dict) -> None:
    change_manifest(log, **change)
    with pytest.raises(InputError, match=f"expected '{next(iter(change))}'"):
        open_log(log.path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format_version": null}', '{"format'])
def test_manifest_that_is_something_else(log: Log, text: str) -> None:
    (log.path / "manifest.json").write_text(text)
    with pytest.raises(InputError, match="expected"):
        open_log(log.path)


COLUMNS = ("observations", "actions", "rewards", "terminated", "truncated", "episode_starts")


@pytest.mark.parametrize("name", COLUMNS)
def test_truncated_file(log: Log, name: str) -> None:
    file = column_file(log.path, name)
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(InputError, match=rf"{name}.npy is truncated: expected \d+ bytes, found \d+"):
        open_log(log.path, verify=False)


@pytest.mark.parametrize("name", COLUMNS)
def test_flipped_bit_is_found_by_its_file(log: Log, name: str) -> None:
    flip_byte(column_file(log.path, name), HEADER_BYTES)
    with pytest.raises(InputError, match=rf"{name}.npy was changed"):
        open_log(log.path)


def test_missing_file(log: Log) -> None:
    column_file(log.path, "rewards").unlink()
    with pytest.raises(InputError, match=r"expected .*rewards.npy, which manifest.json describes, found nothing"):
        open_log(log.path)


def test_longer_file(log: Log) -> None:
    with column_file(log.path, "rewards").open("ab") as file:
        file.write(b"\0" * 4)
    with pytest.raises(InputError, match=r"rewards.npy and manifest.json disagree"):
        open_log(log.path)


def test_changed_header(log: Log) -> None:
    file = column_file(log.path, "observations")
    file.write_bytes(file.read_bytes().replace(b"(11, 2)", b"(12, 2)"))
    with pytest.raises(InputError, match=r"observations.npy and manifest.json disagree: expected \(11, 2\)"):
        open_log(log.path)
    flip_byte(file, 0)
    with pytest.raises(InputError, match=r"expected an .npy header in .*observations.npy, but it is damaged"):
        open_log(log.path)


@pytest.mark.parametrize("starts", [[0, 4, 5, 11], [0, 6, 4, 11], [1, 4, 6, 11], [0, 4, 6, 10]])
def test_starts_that_make_no_sense(log: Log, starts: list[int]) -> None:
    """Written so that every checksum is right: a wrong writer, not a damaged disk."""
    file = column_file(log.path, "episode_starts")
    file.write_bytes(file.read_bytes()[:HEADER_BYTES] + np.array(starts, np.int64).tobytes())
    manifest = json.loads(json.dumps(log.manifest))
    manifest["columns"]["episode_starts"]["sha256"] = sha256_of(file, HEADER_BYTES)
    change_manifest(log, columns=manifest["columns"], sha256=contents_sha256(manifest))
    with pytest.raises(InputError, match=r"manifest.json and episode_starts.npy in .* disagree"):
        open_log(log.path)
