"""Our ids are known after a bare ``import gymnasium``, and Python's start costs no more for it."""

import importlib.util
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "envs" / "plugin"
SOURCE = FOLDER / "simulacra_gymnasium.py"
IDS = ("simulacra/WorldModel-v0", "simulacra/Synthetic-v0")


def run(code: str, *flags: str, folder: Path = ROOT / "tests") -> str:
    """Runs ``code`` in a fresh interpreter where every warning is an error; returns what it printed."""
    command = [sys.executable, *flags, "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


def test_installed_as_it_lies_here():
    """Fails after a change that was not installed: run ``pip install -e . --no-deps`` again."""
    installed = importlib.util.find_spec("simulacra_gymnasium")
    assert installed is not None
    assert installed.origin is not None
    assert Path(installed.origin).read_text() == SOURCE.read_text()
    assert Path(installed.origin).with_suffix(".pth").read_text() == SOURCE.with_suffix(".pth").read_text()


def test_a_bare_import_of_gymnasium_knows_our_ids_and_imports_nothing_of_ours():
    code = f"""
import sys
import gymnasium
for env_id in {IDS}:
    spec = gymnasium.spec(env_id)
    assert ":" in spec.entry_point and ":" in spec.vector_entry_point
    assert spec.max_episode_steps is None and spec.disable_env_checker
ours = {{"envs", "worldmodels", "synthetic_envs", "planners", "agents", "experiments", "torch", "jax", "lightning"}}
print(sorted(ours & sys.modules.keys()), [type(f).__name__ for f in sys.meta_path if "Simulacra" in type(f).__name__])
print(type(gymnasium.envs.__spec__.loader).__name__, "exec_module" in vars(gymnasium.envs.__spec__.loader))
"""
    assert run(code).splitlines() == ["[] []", "SourceFileLoader False"]


def test_gymnasium_imports_the_same_modules_with_and_without_it():
    code = "import gymnasium, sys; print('\\n'.join(sorted(sys.modules)))"
    site = Path(importlib.util.find_spec("gymnasium").origin).parents[1]
    without = run(f"import sys; sys.path.append({str(site)!r}); {code}", "-S").splitlines()
    with_it = run(code).splitlines()
    assert {name.partition(".")[0] for name in set(with_it) - set(without)} & {
        "torch",
        "jax",
        "envs",
        "pandas",
    } == set()
    assert "simulacra_gymnasium" in with_it
    assert "simulacra_gymnasium" not in without


def test_pythons_start_imports_nothing_more():
    code = f"""
import sys
sys.path.insert(0, {str(FOLDER)!r})
before = set(sys.modules)
import simulacra_gymnasium
print(sorted(set(sys.modules) - before))
"""
    assert run(code, "-S") == "['simulacra_gymnasium']"


def test_imported_by_hand_after_gymnasium_and_twice():
    site = Path(importlib.util.find_spec("gymnasium").origin).parents[1]
    code = f"""
import sys
sys.path[:0] = [{str(site)!r}, {str(FOLDER)!r}]
import gymnasium
assert {IDS[0]!r} not in gymnasium.registry
import importlib, simulacra_gymnasium
first = gymnasium.spec({IDS[0]!r})
simulacra_gymnasium.register()
importlib.reload(simulacra_gymnasium)
assert gymnasium.spec({IDS[0]!r}) is first
print([type(f).__name__ for f in sys.meta_path if "Simulacra" in type(f).__name__])
"""
    assert run(code, "-S") == "[]"


def test_looking_for_gymnasium_before_importing_it_loses_nothing():
    code = f"""
import importlib.util
import sys
waiter = next(finder for finder in sys.meta_path if "Simulacra" in type(finder).__name__)
assert waiter.find_spec("gymnasium.envs", []) is None
assert importlib.util.find_spec("gymnasium.envs") is not None
import gymnasium
print(gymnasium.spec({IDS[1]!r}).id)
"""
    assert run(code) == IDS[1]


def test_without_gymnasium_python_starts_as_ever():
    code = f"""
import sys
sys.path.insert(0, {str(FOLDER)!r})
import simulacra_gymnasium
try:
    import gymnasium
except ModuleNotFoundError as error:
    print(error.name)
"""
    assert run(code, "-S") == "gymnasium"


def test_a_gymnasium_that_cannot_register_is_still_imported(tmp_path):
    (tmp_path / "gymnasium" / "envs").mkdir(parents=True)
    (tmp_path / "gymnasium" / "__init__.py").write_text("from gymnasium import envs")
    (tmp_path / "gymnasium" / "envs" / "__init__.py").write_text("")
    code = f"""
import sys, warnings
sys.path[:0] = [{str(tmp_path)!r}, {str(FOLDER)!r}]
import simulacra_gymnasium
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import gymnasium
print(len(caught), "could not be registered" in str(caught[0].message))
"""
    assert run(code, "-S") == "1 True"


def test_a_package_envs_of_the_users_is_the_one_imported(tmp_path):
    (tmp_path / "envs").mkdir()
    (tmp_path / "envs" / "__init__.py").write_text("print('mine')")
    assert run("import gymnasium, envs", folder=tmp_path) == "mine"


def test_a_gymnasium_that_loads_plugins_registers_once():
    # What Gymnasium before 1.0 does with the entry point: it calls it inside the plugin's namespace.
    (entry,) = [entry for entry in entry_points(group="gymnasium.envs") if entry.name == "simulacra"]
    assert entry.value == "simulacra_gymnasium:register"
    code = """
import gymnasium
from importlib.metadata import entry_points
before = dict(gymnasium.registry)
for entry in entry_points(group="gymnasium.envs"):
    with gymnasium.envs.registration.namespace(entry.name):
        entry.load()()
print(dict(gymnasium.registry) == before)
"""
    assert run(code) == "True"


def test_the_project_ships_both_files_to_the_top_of_site_packages():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    shipped = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert {(ROOT / source).name: target for source, target in shipped.items()} == {
        name: name for name in ("simulacra_gymnasium.py", "simulacra_gymnasium.pth")
    }
    assert all((ROOT / source).is_file() for source in shipped)
