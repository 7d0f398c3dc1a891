"""Importing modules of a package without the package's own imports, each case in a fresh interpreter."""

import subprocess
import sys

import pytest

from envs.lean_import import without_init


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package whose ``__init__`` is slow to import, with a package in it, as gymnax's are built."""
    inner = tmp_path / "slow_package" / "inner"
    inner.mkdir(parents=True)
    (tmp_path / "slow_package" / "__init__.py").write_text("from slow_package import inner\nRAN = True\n")
    (inner / "__init__.py").write_text("from slow_package.inner import leaf\nRAN = True\n")
    (inner / "leaf.py").write_text("from slow_package.inner import helper\nclass Leaf:\n    value = helper.VALUE\n")
    (inner / "helper.py").write_text("VALUE = 3\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in [name for name in sys.modules if name.startswith("slow_package")]:
        del sys.modules[name]


def test_a_module_is_imported_and_its_packages_are_not_run(package):
    with without_init("slow_package", "slow_package.inner"):
        from slow_package.inner.leaf import Leaf

        assert not hasattr(sys.modules["slow_package"], "RAN")
        assert not hasattr(sys.modules["slow_package.inner"], "RAN")
    assert Leaf.value == 3
    assert not any(name.startswith("slow_package") for name in sys.modules)


def test_the_whole_package_can_be_imported_afterwards(package):
    with without_init("slow_package", "slow_package.inner"):
        from slow_package.inner.leaf import Leaf
    import slow_package

    assert slow_package.RAN
    assert slow_package.inner.RAN
    assert slow_package.inner.helper.VALUE == 3
    assert slow_package.inner.leaf.Leaf is not Leaf


def test_a_package_that_is_loaded_is_used(package):
    import slow_package

    with without_init("slow_package", "slow_package.inner"):
        from slow_package.inner.leaf import Leaf
    assert Leaf is slow_package.inner.leaf.Leaf
    assert sys.modules["slow_package"] is slow_package


def test_a_package_that_is_missing_is_named(package):
    with (
        pytest.raises(ModuleNotFoundError, match="not_there"),
        without_init("slow_package", "slow_package.not_there"),
    ):
        pass
    assert "slow_package" not in sys.modules


def test_compiled_environments_cost_no_drawing_library():
    code = """
import sys
import envs.gymnax_adapter
print(sorted({"matplotlib", "seaborn", "pandas", "scipy.stats", "flax.linen", "torch"} & sys.modules.keys()))
import gymnax
print(gymnax.make("CartPole-v1")[0].name, gymnax.environments.spaces.Discrete.__name__)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "CartPole-v1 Discrete"]
