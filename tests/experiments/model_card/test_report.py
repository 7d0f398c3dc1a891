"""The report of one world model: whole, well-formed, self-contained, and true to the card."""

import re
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
from gymnasium import spaces

from experiments.model_card import report as model_report
from experiments.model_card.report import report_page
from tests.experiments.test_report import Page


@pytest.fixture
def text(card, views, made_up_spec) -> str:
    return report_page(card, views, made_up_spec, {"fit": {"seed": 7}, "log_sha256": "abc"})


def test_it_has_every_section_and_the_numbers(text):
    page = Page(text)
    assert page.headings == [
        "World model of MadeUp-v0",
        "How far imagination carries",
        "What it imagines",
        "How sure it is",
        "When episodes end",
        "What policies are worth in it",
    ]
    assert len(page.images) == 6
    assert page.cells[1] == ["world model", "0.01", "0.1", "-2.5", "90.0%", "0.25", "0"]
    assert ["observation 0", "50.0%", "80.0%", "90.0%", "95.0%"] in page.cells
    assert ["reward", *["never changes"] * 4] in page.cells
    assert ["policy 9", "93.0 ± 1.0", "108.0 ± 2.0"] in page.cells
    for told in (
        "Warning: dimension 1 of the observation is constant in the log",
        "learned from 2,000 logged steps in 90 episodes and measured on 9 episodes that it has not seen",
        "reached from 191 states",
        "from its start on: 4 steps",
        "exploitation gap -15.0 [-20.0, -11.0]",
        "fit.seed = 7",
        "open_loop.linear.value = [0.2, None]",
    ):
        assert told in page.text, told


def test_it_needs_nothing_but_itself(text):
    assert not re.search(r"https?:|//[a-z]|@import|url\(|<script|<link", re.sub(r'src="data:[^"]*"', "", text))
    sources = [value for name, value in Page(text).attributes if name == "src"]
    assert all(value.startswith("data:image/") for value in sources)


def test_what_is_missing_is_told(card, views, made_up_spec):
    bare = {
        **deepcopy(card),
        "ranking": {"missing": "no such environment"},
        "coverage": {},
        "termination_in_log": False,
    }
    page = Page(report_page(bare, views, made_up_spec, {}))
    assert "Policy ranking: not measured: no such environment." in page.text
    assert "nothing ever changed in the log" in page.text
    assert "never seen in the log: the model cannot know what ends an episode" in page.text
    assert len(page.images) == 4


def test_models_of_discrete_observations_have_a_report(discrete_card, views, made_up_spec):
    path = [[float(i % 3)] for i in range(5)]
    moving = {
        "step": views["step"],
        "trajectory": {"seen": 0, **dict.fromkeys(("real", "imagined", "low", "high"), path)},
    }
    page = Page(report_page(discrete_card, moving, replace(made_up_spec, observation_space=spaces.Discrete(3)), {}))
    assert "probability off by 0.050 on average" in page.text
    assert len(page.images) == 5


def test_a_model_that_remembers_says_where_it_begins(card, views, made_up_spec):
    later = {**views, "trajectory": {**views["trajectory"], "seen": 10}}
    assert "after 10 steps that the model has seen: 4 steps" in Page(report_page(card, later, made_up_spec, {})).text


def test_environments_that_can_be_drawn_are_animated(card, views, made_up_spec, monkeypatch):
    seen = []

    def draw(env_id: str, observation: np.ndarray) -> np.ndarray:
        seen.append((env_id, observation.dtype, observation.shape))
        return np.zeros((20, 30, 3), np.uint8)

    monkeypatch.setattr(model_report, "can_draw", lambda env_id: True)
    monkeypatch.setattr(model_report, "draw_state", draw)
    page = Page(report_page(card, views, made_up_spec, {}))
    assert len(page.images) == 7
    assert [image["src"].startswith("data:image/gif;base64,") for image in page.images].count(True) == 1
    assert len(seen) == 2 * 4  # the last imagined observation is not finite
    assert set(seen) == {("MadeUp-v0", np.dtype(np.float32), (2,))}


def test_names_cannot_break_the_page(card, views, made_up_spec):
    page = Page(report_page(card, views, replace(made_up_spec, env_id="<b>&\"'</b>"), {}))
    assert page.headings[0] == "World model of <b>&\"'</b>"
