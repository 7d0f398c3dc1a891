import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
import torch

from envs.errors import InputError
from planners.configs import MCTSConfig
from planners.mcts import mcts
from planners.tabular_model import toy_text_model
from planners.tree_drawing import tree_svg, write_tree

SVG = "{http://www.w3.org/2000/svg}"


def test_every_node_is_drawn_once_with_its_numbers(random_table: Any) -> None:
    found = mcts(random_table(1), {"cell": torch.tensor([2, 5])}, MCTSConfig(num_simulations=30))
    for row in (0, 1):
        picture = ElementTree.fromstring(tree_svg(found, row))
        circles = picture.findall(f"{SVG}circle")
        assert len(circles) == found.statistics.num_nodes[row]
        assert len(picture.findall(f"{SVG}line")) == len(circles) - 1
        titles = [one.find(f"{SVG}title").text for one in circles]  # type: ignore[union-attr]
        assert f"visits {int(found.tree.nodes['visits'][row, 0])}\n" in titles[0]  # type: ignore[operator]
        places = {(one.get("cx"), one.get("cy")) for one in circles}
        assert len(places) == len(circles)


def test_the_most_visited_nodes_are_drawn_where_there_are_too_many(random_table: Any) -> None:
    found = mcts(random_table(1), {"cell": torch.tensor([2])}, MCTSConfig(num_simulations=60))
    picture = ElementTree.fromstring(tree_svg(found, max_nodes=10))
    assert len(picture.findall(f"{SVG}circle")) == 10


def test_a_page_stands_alone(tmp_path: Path) -> None:
    model = toy_text_model("FrozenLake-v1")
    config = MCTSConfig(num_simulations=40, stochastic_model=True)
    found = mcts(model, {"cell": torch.tensor([14])}, config, torch.Generator().manual_seed(0))
    page = write_tree(found, tmp_path / "tree.html").read_text()
    assert "<script" not in page
    assert page.count("http") == page.count("http://www.w3.org/2000/svg") == 1
    assert page.count("<rect") > 3, "chance nodes"
    assert f"<td>{int(found.visits[0, 0])}</td>" in page
    assert f"{found.statistics.model_steps} steps" in page
    ElementTree.fromstring(write_tree(found, tmp_path / "tree.svg").read_text())


def test_what_cannot_be_drawn_is_told(random_table: Any, tmp_path: Path) -> None:
    found = mcts(random_table(1), {"cell": torch.tensor([2])}, MCTSConfig(num_simulations=3))
    with pytest.raises(InputError, match=r"\.svg or \.html"):
        write_tree(found, tmp_path / "tree.png")
    with pytest.raises(InputError, match="row from 0 to 0, got 1"):
        tree_svg(found, 1)
    with pytest.raises(InputError, match="max_nodes"):
        tree_svg(found, max_nodes=0)
