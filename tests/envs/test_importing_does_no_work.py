"""Importing our packages is instant and touches nothing; heavy imports happen inside commands."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ["envs", "worldmodels", "synthetic_envs", "planners", "agents", "experiments"]
COMMAND_LINE = ["experiments.commands", "experiments.cli"]
CONFIGS = ["worldmodels.configs", "synthetic_envs.configs", "planners.configs", "agents.configs"]
HEAVY = {"torch", "jax", "gymnasium", "lightning", "evosax", "gymnax", "brax", "pandas", "pyarrow", "matplotlib"}


def run(code: str, folder: Path) -> str:
    """Runs ``code`` in a fresh interpreter where every warning is an error; returns what it printed."""
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


@pytest.mark.parametrize("names", [PACKAGES, COMMAND_LINE, CONFIGS], ids=["packages", "command line", "configs"])
def test_no_heavy_import(names, tmp_path):
    code = f"import sys, {', '.join(names)}\nprint(sorted({HEAVY} & sys.modules.keys()))"
    assert run(code, tmp_path) == "[]"


def test_no_variable_thread_file_or_random_number_is_touched(tmp_path):
    code = f"""
import os, random, sys, threading
before = dict(os.environ), random.getstate(), threading.active_count(), list(sys.path)
import {", ".join(PACKAGES + COMMAND_LINE)}
after = dict(os.environ), random.getstate(), threading.active_count(), list(sys.path)
print([a == b for a, b in zip(before, after)])
"""
    assert run(code, tmp_path) == "[True, True, True, True]"
    assert list(tmp_path.iterdir()) == []
