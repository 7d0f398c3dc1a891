"""Every Python example of the documents runs as it is written, on a smaller study."""

import re
from pathlib import Path

import pytest

from experiments.cli import main

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(python|)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(document: Path, language: str) -> list[str]:
    return [text for found, text in BLOCK.findall(document.read_text()) if found == language]


def commands(document: Path) -> list[list[str]]:
    lines = [line.split("#")[0].split() for text in blocks(document, "") for line in text.splitlines()]
    return [line[1:] for line in lines if line[:1] == ["simulacra"]]


@pytest.mark.slow
def test_the_readme_runs_as_written(tmp_path, monkeypatch, capsys):
    """The commands first, in their order, since the Python examples use what they made."""
    monkeypatch.chdir(tmp_path)
    one_generation = ["--search.num-generations", "1", "--search.population-size", "4"]
    smaller = {
        "collect": ["--steps", "1000"],
        "fit": ["--fit.num-updates", "100"],
        "train": ["--agent.total-steps", "2048", "--gradient-steps", "200"],
        "evolve": ["--preset", "specialist", *one_generation, "--no-report"],
        "report": ["--steps", "500", "--factor", "1", "--num-agents", "2"],
        "evaluate": ["--episodes", "1"],
        "offline": ["--seeds", "1", "--episodes", "1", "--fit.num-updates", "100", "--ppo.total-steps", "4096"],
        "transfer": ["--preset", "cartpole-small"],
    }
    ran = set()
    for command in commands(ROOT / "README.md"):
        main([*command, *smaller.get(command[0], [])])
        ran.add(command[0])
    assert ran >= {"collect", "fit", "train", "evaluate", "evolve", "offline", "transfer"}
    assert (tmp_path / "runs" / "demo" / "report.html").is_file()
    for example in blocks(ROOT / "README.md", "python"):
        exec(compile(example.replace('preset("cartpole")', 'preset("cartpole-small")'), "README.md", "exec"), {})
    assert "ppo on real" in " ".join(capsys.readouterr().out.split())


def test_links_of_the_documents_lead_somewhere():
    for document in DOCUMENTS:
        for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
            if "://" not in target:
                assert (document.parent / target).exists(), f"{document.name} links to {target}"
