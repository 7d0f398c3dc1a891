from pathlib import Path

import gymnasium
import h5py
import numpy as np
import pytest
from minari.data_collector import EpisodeBuffer
from minari.dataset.minari_storage import MinariStorage

from envs.errors import InputError
from envs.importers import import_log
from envs.logs import Log


def write_minari(folder: Path, log: Log, data_format: str = "hdf5") -> Path:
    """Writes a log by Minari's own storage; returns the data set's folder."""
    data = folder / "data"
    data.mkdir(parents=True)
    spec = gymnasium.spec(log.spec.env_id)
    storage = MinariStorage.new(data, log.spec.observation_space, log.spec.action_space, spec, data_format)
    for index in range(log.num_episodes):
        episode = log.episode(index)
        flags = np.zeros((2, len(episode.actions)), bool)
        flags[:, -1] = episode.terminated, episode.truncated
        storage.update_episodes(
            [
                EpisodeBuffer(
                    id=index,
                    observations=list(episode.observations),
                    actions=list(episode.actions),
                    rewards=episode.rewards.tolist(),
                    terminations=flags[0].tolist(),
                    truncations=flags[1].tolist(),
                )
            ]
        )
    return folder


@pytest.fixture
def folder(tmp_path: Path, cartpole: Log) -> Path:
    return write_minari(tmp_path / "cartpole-random-v0", cartpole)


def run(source: Path, env_id: str = "CartPole-v1") -> Log:
    log = source.parent / "log"
    try:
        return import_log(source, log, env_id, "minari")
    except InputError:
        assert not log.exists()
        raise


@pytest.mark.parametrize("inside", [".", "data", "data/main_data.hdf5"])
def test_round_trip(folder: Path, cartpole: Log, inside: str) -> None:
    """More than ten episodes, so that they are put in the order of their numbers, not of their names."""
    assert cartpole.num_episodes > 10
    assert import_log(folder / inside, folder / "log", "CartPole-v1").sha256 == cartpole.sha256


def test_round_trip_of_continuous_actions(tmp_path: Path, pendulum: Log) -> None:
    assert run(write_minari(tmp_path / "set", pendulum), "Pendulum-v1").sha256 == pendulum.sha256


def test_episode_without_an_end_was_cut(folder: Path) -> None:
    with h5py.File(folder / "data/main_data.hdf5", "a") as file:
        file["episode_0/terminations"][-1] = False
    log = run(folder)
    assert log.episode(0).truncated
    assert not log.episode(0).terminated
    assert log.manifest["source"]["cut_at_end"] == 1


def test_other_environment(folder: Path) -> None:
    with pytest.raises(InputError, match=r"was recorded on CartPole-v1, not on Acrobot-v1"):
        run(folder, "Acrobot-v1")


def test_end_before_the_last_step(folder: Path) -> None:
    with h5py.File(folder / "data/main_data.hdf5", "a") as file:
        file["episode_3/truncations"][2] = True
    with pytest.raises(
        InputError, match=r"truncations in .*/episode_3: expected an end at the last step only, .* row 2"
    ):
        run(folder)


def test_nan_is_named(folder: Path) -> None:
    with h5py.File(folder / "data/main_data.hdf5", "a") as file:
        file["episode_4/observations"][5, 1] = np.nan
    with pytest.raises(InputError, match="observations of episode 4, row 5: expected finite numbers, got nan"):
        run(folder)


def test_linked_episode_is_refused(folder: Path) -> None:
    with h5py.File(folder / "data/main_data.hdf5", "a") as file:
        file.move("episode_1", "kept")
        file["episode_1"] = h5py.ExternalLink("elsewhere.hdf5", "/episode_1")
        del file["kept"]
    with pytest.raises(InputError, match=r"/episode_1 in .* is a link to somewhere else, which is refused"):
        run(folder)


def test_missing_field(folder: Path) -> None:
    with h5py.File(folder / "data/main_data.hdf5", "a") as file:
        del file["episode_2/rewards"]
    with pytest.raises(InputError, match=r"expected /episode_2/rewards in .*, found only: actions"):
        run(folder)


def test_dict_observations_are_refused(folder: Path) -> None:
    with h5py.File(folder / "data/main_data.hdf5", "a") as file:
        del file["episode_0/observations"]
        file["episode_0/observations/achieved_goal"] = np.zeros(3)
    with pytest.raises(InputError, match=r"expected one array /episode_0/observations in .*, found a group"):
        run(folder)


def test_file_of_something_else(folder: Path) -> None:
    with h5py.File(folder / "data/main_data.hdf5", "w") as file:
        file["observations"] = np.zeros(3)
    with pytest.raises(
        InputError, match=r"expected groups episode_0, episode_1, \.\.\. in .*, found \['observations'\]"
    ):
        run(folder)


def test_damaged_metadata(folder: Path) -> None:
    (folder / "data/metadata.json").write_text('{"env_spec": "CartPole"}')
    with pytest.raises(InputError, match=r"expected env_spec in .*metadata.json to be JSON with an id"):
        run(folder)
