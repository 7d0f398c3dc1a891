"""Files and folders are whole or absent, also where the writer raises or is killed in the middle."""

import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from envs.errors import InputError
from envs.files import new_folder, read_json, require_free, require_place, sha256_of, write_atomically, write_json

ROOT = Path(__file__).parents[2]


def run_and_kill(code: str) -> None:
    """Runs ``code`` in a process that kills itself, as by a power cut, where it calls ``os.fsync``."""
    start = "import os, signal; os.fsync = lambda file: os.kill(os.getpid(), signal.SIGKILL)\n"
    done = subprocess.run([sys.executable, "-c", start + code], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL


def fail(*_: object) -> None:
    raise OSError("disk full")


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_sha256_of_a_whole_file_and_of_a_part(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"xabcyz")
    assert sha256_of(file) == hashlib.sha256(b"xabcyz").hexdigest()
    # The published test vector of "abc" (FIPS 180-4).
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_of(file, offset=1, num_bytes=3) == expected
    assert sha256_of(file, offset=4) == hashlib.sha256(b"yz").hexdigest()
    assert sha256_of(file, offset=4, num_bytes=0) == hashlib.sha256(b"").hexdigest()
    file.write_bytes(bytes(3 << 20))
    assert sha256_of(file, num_bytes=(2 << 20) + 1) == hashlib.sha256(bytes((2 << 20) + 1)).hexdigest()


@pytest.mark.parametrize("durable", [True, False])
def test_a_write_replaces_and_leaves_nothing_else(tmp_path, durable):
    file = tmp_path / "file"
    write_atomically(file, "Grüße", durable)
    assert file.read_text(encoding="utf-8") == "Grüße"
    write_atomically(file, b"\x00\xff", durable)
    assert file.read_bytes() == b"\x00\xff"
    assert names_in(tmp_path) == ["file"]


@pytest.mark.parametrize("broken", ["os.fsync", "pathlib.Path.replace"])
def test_a_write_that_fails_leaves_the_old_content(tmp_path, monkeypatch, broken):
    file = tmp_path / "file"
    file.write_text("old")
    monkeypatch.setattr(broken, fail)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(file, "new")
    assert file.read_text() == "old"
    assert names_in(tmp_path) == ["file"]


def test_a_killed_write_leaves_the_old_content_and_does_not_hinder_the_next(tmp_path):
    file = tmp_path / "file"
    file.write_text("old")
    run_and_kill(f"from pathlib import Path; from envs.files import *; write_atomically(Path({str(file)!r}), 'new')")
    assert file.read_text() == "old"
    write_atomically(file, "newer")
    assert file.read_text() == "newer"


def test_json_round_trip_and_standard_numbers_only(tmp_path):
    file = tmp_path / "file.json"
    content = {"a": [1, 2.5, None, True], "b": {"c": "ü"}}
    write_json(file, content)
    assert read_json(file) == content
    for value in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="JSON compliant"):
            write_json(file, {"a": value})
    assert read_json(file) == content
    assert names_in(tmp_path) == ["file.json"]


def test_unreadable_json_is_told_with_its_place(tmp_path):
    file = tmp_path / "file.json"
    with pytest.raises(InputError, match=r"expected a file at .*file\.json, found none"):
        read_json(file)
    for content in (b'{"a": 1', b"", b"\xff\xfe\x00"):
        file.write_bytes(content)
        with pytest.raises(InputError, match=r"expected JSON in .*file\.json, but it is damaged"):
            read_json(file)


def test_only_what_is_absent_or_an_empty_folder_is_free(tmp_path):
    require_free(tmp_path / "absent")
    require_free(tmp_path)
    (tmp_path / "file").write_text("mine")
    for taken in (tmp_path, tmp_path / "file"):
        with pytest.raises(InputError, match="already exists"):
            require_free(taken)
        require_free(taken, overwrite=True)
    with pytest.raises(InputError, match="/ already exists"):
        require_free(Path("/"))


def test_a_place_where_nothing_can_be_made_is_told_before_the_work(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("mine")
    for path in (tmp_path / "file" / "it", tmp_path / "file" / "deep" / "it"):
        with pytest.raises(InputError, match=r"expected a folder at .*file to make .*it in, found a file"):
            require_free(path)
    require_place(tmp_path / "deep" / "it")
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(InputError, match="read-only"):
        require_place(tmp_path / "deep" / "it")


def test_a_folder_appears_whole_at_the_end_of_the_block(tmp_path):
    path = tmp_path / "deep" / "er" / "folder"
    with new_folder(path) as folder:
        (folder / "sub").mkdir()
        (folder / "sub" / "file").write_text("new")
        assert not path.exists()
    assert (path / "sub" / "file").read_text() == "new"
    assert names_in(path.parent) == ["folder"]


def test_an_empty_folder_is_taken_and_a_full_one_is_refused(tmp_path):
    path = tmp_path / "folder"
    path.mkdir()
    with new_folder(path) as folder:
        (folder / "file").write_text("first")
    with pytest.raises(InputError, match=r"folder already exists"), new_folder(path) as folder:
        pytest.fail("the block must not run")
    assert (path / "file").read_text() == "first"
    assert names_in(tmp_path) == ["folder"]


@pytest.mark.parametrize("was_file", [False, True])
def test_overwriting_replaces_all_of_the_old(tmp_path, was_file):
    path = tmp_path / "it"
    if was_file:
        path.write_text("old")
    else:
        (path / "sub").mkdir(parents=True)
        (path / "sub" / "old").write_text("old")
    with new_folder(path, overwrite=True) as folder:
        (folder / "new").write_text("new")
        assert path.exists()
    assert names_in(path) == ["new"]
    assert names_in(tmp_path) == ["it"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_block_that_raises_leaves_what_was_there(tmp_path, overwrite):
    path = tmp_path / "folder"
    if overwrite:
        path.mkdir()
        (path / "old").write_text("old")
    with pytest.raises(OSError, match="disk full"), new_folder(path, overwrite) as folder:
        fail((folder / "new").write_text("new"))
    assert names_in(tmp_path) == (["folder"] if overwrite else [])
    assert not overwrite or (path / "old").read_text() == "old"


def test_a_killed_block_leaves_what_was_there_and_does_not_hinder_the_next(tmp_path):
    path = tmp_path / "folder"
    path.mkdir()
    (path / "old").write_text("old")
    run_and_kill(f"""
from pathlib import Path
from envs.files import new_folder
with new_folder(Path({str(path)!r}), overwrite=True) as folder:
    (folder / "new").write_text("new")
""")
    assert names_in(path) == ["old"]
    with new_folder(path, overwrite=True) as folder:
        (folder / "newer").write_text("newer")
    assert names_in(path) == ["newer"]


def test_remains_of_a_killed_process_with_our_id_do_not_get_into_the_folder(tmp_path):
    remains = tmp_path / f".folder.{os.getpid()}.tmp"
    remains.mkdir()
    (remains / "stale").write_text("stale")
    with new_folder(tmp_path / "folder") as folder:
        (folder / "new").write_text("new")
    assert names_in(tmp_path / "folder") == ["new"]
