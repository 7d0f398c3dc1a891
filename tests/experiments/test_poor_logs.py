"""A log that can teach little: fitting says so, and still gives a model with a card that is true."""

import json
from pathlib import Path

import numpy as np
import pytest
from gymnasium import spaces

from envs.log_writer import LogWriter
from envs.logs import Episode
from envs.spec import EnvSpec
from experiments.cli import main


@pytest.fixture
def poor_log(tmp_path: Path) -> Path:
    """Always the same action, a dimension that never changes, episodes of one step and of ten, no termination."""
    spec = EnvSpec("Poor-v0", spaces.Box(-9, 9, (2,), np.float32), spaces.Discrete(2), 50)
    random = np.random.default_rng(0)
    with LogWriter(tmp_path / "log", spec, {"kind": "test"}) as writer:
        for steps in [1, 10] * 8:
            observations = np.full((steps + 1, 2), 4.5, np.float32)
            observations[:, 0] = random.normal(size=steps + 1)
            writer.add(Episode(observations, np.ones(steps, np.int64), np.ones(steps, np.float32), False, True))
    return tmp_path / "log"


def test_what_a_log_cannot_teach_is_said_at_once_and_on_the_card(poor_log, tmp_path, capsys):
    quick = ["--fit.num-updates", "4", "--fit.validate-every", "2", "--ensemble.hidden", "8"]
    main(["fit", "--logs", str(poor_log), "--out", str(tmp_path / "model"), *quick])
    told = capsys.readouterr()
    expected = [
        "every action in the log is the same (1): what others do cannot be learned",
        "dimension 1 of the observation is constant in the log: predicted to stay so",
        "no episode in the log was terminated: the model cannot learn what ends an episode",
    ]
    assert told.err.startswith("".join(f"simulacra: warning: {warning}\n" for warning in expected))
    assert "terminations:       never seen in the log" in told.out
    assert "policy ranking:     not measured: unknown environment id 'Poor-v0'" in told.out
    card = json.loads((tmp_path / "model" / "quality.json").read_text(), parse_constant=pytest.fail)
    assert card["warnings"] == expected
    assert [numbers is None for numbers in card["coverage"]["model"]["numbers"]] == [False, True, True]
    main(["inspect", str(tmp_path / "model")])
    assert "warning:            every action in the log is the same (1)" in capsys.readouterr().out
