"""Compiled code kept on disk: read at the next start, never needed, and never in the way."""

import jax
import jax.numpy as jnp
import pytest

from envs.compilation_cache import VARIABLE, cache_folder, kept_compilations


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    found = cache_folder()
    assert found is not None
    return found


def compiled(number: float) -> float:
    """A program that no other test has, compiled anew: JAX's own memory of it is emptied."""
    jax.clear_caches()
    return float(jax.jit(lambda x: jnp.sin(x) * 1.2345 + 6.789)(number))


def test_what_was_compiled_is_found_at_the_next_start(folder):
    assert folder.parent.name == "cache"
    with kept_compilations():
        first = compiled(0.5)
    entries = {path: path.read_bytes() for path in folder.glob("*-cache")}
    assert entries
    with kept_compilations():
        assert compiled(0.5) == first
    assert {path: path.read_bytes() for path in folder.glob("*-cache")} == entries
    assert jax.config.jax_compilation_cache_dir != str(folder)  # outside of the block all is as it was


def test_a_damaged_entry_costs_a_line_and_is_deleted(folder, capsys):
    with kept_compilations():
        first = compiled(0.5)
    entries = list(folder.glob("*-cache"))
    for entry in entries:
        entry.write_bytes(b"damaged")
    with kept_compilations():
        assert compiled(0.5) == first
    assert "was damaged and has been deleted" in capsys.readouterr().err
    assert all(entry.read_bytes() != b"damaged" for entry in folder.glob("*-cache"))


def test_a_folder_that_cannot_be_made_costs_a_line(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "file"))
    with kept_compilations():
        assert compiled(0.5) == pytest.approx(7.3808, abs=1e-3)
    assert f"{VARIABLE} names another folder, or is off" in capsys.readouterr().err


def test_it_can_be_switched_off_and_leaves_jaxs_own_alone(monkeypatch, tmp_path):
    monkeypatch.setenv(VARIABLE, "off")
    assert cache_folder() is None
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder().is_relative_to(tmp_path / "simulacra")
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path))
    assert cache_folder() is None
