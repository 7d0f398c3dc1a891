from pathlib import Path

import pytest

from envs.errors import InputError
from envs.importers import import_log

HEADER = "episode,observation_0,observation_1,observation_2,observation_3,action,reward,terminated,truncated\n"


def run(tmp_path: Path, text: str | bytes) -> object:
    (tmp_path / "data.csv").write_bytes(text.encode() if isinstance(text, str) else text)
    return import_log(tmp_path / "data.csv", tmp_path / "log", "CartPole-v1")


def test_file_written_by_hand(tmp_path: Path) -> None:
    log = run(tmp_path, HEADER + "7, 0.1,0.2,0.3,.4,1,1.0,False,FALSE\r\n7,1,2,3,4,0,1,true,0\n\n7,5,6,7,8,,,, \n")
    episode = log.episode(0)
    assert episode.observations[:, 0].tolist() == pytest.approx([0.1, 1, 5])
    assert episode.actions.tolist() == [1, 0]
    assert (episode.terminated, episode.truncated) == (True, False)


def test_late_cells_are_judged_as_early_ones(tmp_path: Path) -> None:
    """A type guessed from the first block of the file would refuse the 0.5 far down."""
    rows = [f"0,{'0.5' if i == 149_999 else '1'},0,0,0,1,1,0,0" for i in range(150_000)]
    log = run(tmp_path, HEADER + "\n".join(rows) + "\n0,1,1,1,1,,,,\n")
    assert log.observations[149_999, 0] == 0.5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a readable CSV file at .*, but it is damaged: Empty CSV file"),
        (HEADER, "expected rows in .*, found none"),
        (HEADER + "0,1,2\n", "but it is damaged: .*Expected 9 columns, got 3"),
        (HEADER.replace("truncated", "reward") + "0,1,1,1,1,1,1,1,1\n", "expected the columns truncated"),
        (HEADER.replace("\n", ",reward\n") + "0,1,1,1,1,1,1,1,1,1\n", "found reward twice"),
        (b"\xff\xfe\x00" * 30, "expected"),
        (HEADER.encode() + b"0,\xff,1,1,1,1,1,0,1\n", "but it is damaged: .*invalid UTF8"),
        (HEADER + "0,1,1,1,1,,,,\n", "expected at least one step in the episode, found none"),
        (HEADER + "0,1,1,1,1,1,1,0,1\n", "expected at least one episode with a step in .*, found none"),
    ],
)
def test_bad_files(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(tmp_path, text)
    assert not (tmp_path / "log").exists()
