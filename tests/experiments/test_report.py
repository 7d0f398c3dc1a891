"""The report: one file that opens offline, whole and well-formed, whose words are the numbers' truth."""

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from experiments.report import verdict, write_report
from experiments.results import Results, SeedReturns, make_row

_VOID = {"meta", "img", "br", "hr", "link", "input"}


class Page(HTMLParser):
    """Reads a page strictly: every tag is closed in order; keeps headings, images, attributes and text."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.headings: list[str] = []
        self.images: list[dict] = []
        self.attributes: list[tuple[str, str]] = []
        self.cells: list[list[str]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.attributes += attributes
        if tag == "img":
            self.images.append(dict(attributes))
        if tag == "tr":
            self.cells.append([])
        if tag in ("td", "th"):
            self.cells[-1].append("")
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" in self.open:
            return
        self.text += data
        if self.open and self.open[-1] in ("h1", "h2", "h3"):
            self.headings.append(data)
        if self.open and self.open[-1] in ("td", "th"):
            self.cells[-1][-1] += data


def results(threshold: float | None = 475.0, env: str = "CartPole-v1") -> Results:
    rows = [
        make_row("none", "random", [SeedReturns(0, [22.0]), SeedReturns(1, [24.0])], 0, 0.4),
        make_row("real", "ppo", [SeedReturns(0, [500.0]), SeedReturns(1, [480.0])], 102_400, 12.3),
        make_row("bandit", "ppo", [SeedReturns(0, [300.0]), SeedReturns(1, [200.0])], 6_000_000, 60.0),
    ]
    return Results(env, threshold, rows, {"ppo": {"hidden": [64]}, "seed": 7}, {"python": "3.11"})


@pytest.fixture(scope="module")
def file(parts, tmp_path_factory) -> Path:
    return write_report(results(), parts, tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def page(file) -> Page:
    return Page(file.read_text())


def test_it_is_well_formed_and_has_every_section(page):
    assert page.headings == [
        "What stand-ins of CartPole-v1 are worth",
        "Learning curves",
        "The world model",
        "How far imagination carries",
        "What it imagines",
        "How sure it is",
        "When episodes end",
        "What policies are worth in it",
        "The evolved bandit",
    ]
    assert len(page.images) == 10
    assert all(image["alt"] for image in page.images)
    assert "ppo.hidden = [64]" in page.text
    assert "seed = 7" in page.text
    assert "python = 3.11" in page.text


def test_it_needs_nothing_but_itself(page, file):
    assert list(file.parent.iterdir()) == [file]
    text = file.read_text()
    assert not re.search(r"https?:|//[a-z]|@import|url\(|<script|<link", text)
    assert all(value.startswith("data:image/svg+xml;base64,") for name, value in page.attributes if name == "src")
    assert not any(name in ("href", "srcset", "background") for name, _ in page.attributes)
    for image in page.images:
        svg = base64.b64decode(image["src"].partition(",")[2]).decode()
        links = re.findall(r'href="([^"]*)"', svg)
        assert all(link.startswith(("#", "data:")) for link in links)
        assert "<script" not in svg


def test_the_table_holds_the_numbers(page):
    head, random, real, bandit = page.cells[:4]
    assert head == ["world", "method", "return", "95% interval", "worst seed", "real steps", "seconds", "solved"]
    assert random == ["none", "random", "23.0", "22.0 to 24.0", "22.0", "0", "0.4", ""]
    assert real == ["real", "ppo", "490.0", "480.0 to 500.0", "480.0", "102,400", "12.3", "yes"]
    assert bandit == ["bandit", "ppo", "250.0", "200.0 to 300.0", "200.0", "6,000,000", "60.0", "no"]


def test_the_verdict_tells_success_and_failure(page):
    assert verdict(results()) == (
        "Solved on the real environment (interquartile mean of at least 475): ppo on real. "
        "Not solved: ppo on bandit (250)."
    )
    assert verdict(results()) in page.text
    assert verdict(results(600.0)) == (
        "Solved on the real environment (interquartile mean of at least 600): by none. "
        "Not solved: ppo on real (490), ppo on bandit (250)."
    )
    assert verdict(results(100.0)).endswith("ppo on real, ppo on bandit.")
    assert "names no return" in verdict(results(None))


def test_the_words_are_the_parts_numbers(page):
    for told in (
        "2 seeds, 1 episodes each",
        "2,000 logged steps in 90 episodes (mean return 22) and measured on 9 episodes that it has not seen",
        "precision of none, recall 0.0%, F1 0 (2 in 200 held-out steps, 0 predicted)",
        "Spearman 1.00 over 3 policies; exploitation gap -15.0 [-20.0, -11.0]",
        "3 generations, 7 seconds and 12,345 steps",
        "Measured on real dynamics while training",
    ):
        assert told in page.text, told


def test_names_cannot_break_the_page(parts, tmp_path):
    page = Page(write_report(results(env="<b>&\"'</b>"), parts, tmp_path).read_text())
    assert page.headings[0] == "What stand-ins of <b>&\"'</b> are worth"


def test_without_a_threshold_nothing_is_judged(parts, tmp_path):
    page = Page(write_report(results(None), parts, tmp_path).read_text())
    assert [row[-1] for row in page.cells[1:4]] == ["", "", ""]
