"""``simulacra``: parses the command line, runs a command, and tells bad input in one sentence with exit code 2."""

import io
import re
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr
from dataclasses import replace
from itertools import pairwise
from typing import Any, TypeVar

import tyro

from agents.configs import CONFIGS, AgentConfig
from envs.errors import InputError
from experiments.agent_presets import agent_preset
from experiments.commands import COMMANDS, Command, Evolve, Fit, Offline, Train, Transfer
from experiments.evolve_presets import evolve_preset
from experiments.presets import preset
from experiments.signals import Terminated
from experiments.world_names import env_id_of

_C = TypeVar("_C", bound=Command)
_DESCRIPTION = (
    "Learned world models and evolved synthetic environments for reinforcement learning, "
    "judged on the real environment."
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the console script; exits with 0, with 2 on bad input, with 130 or 143 when interrupted."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    hint = ""
    try:
        command = parse(arguments)
        resumable = isinstance(command, Evolve | Fit | Train | Offline | Transfer)
        hint = "; with --resume it goes on where it stopped" if resumable else ""
        command.run()
    except InputError as error:
        print(f"simulacra: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except OSError as error:  # a full disk, a folder that may not be written to
        print(f"simulacra: cannot read or write: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print(f"simulacra: interrupted{hint}", file=sys.stderr)
        raise SystemExit(128 + signal.SIGINT) from None
    except Terminated:
        print(f"simulacra: terminated{hint}", file=sys.stderr)
        raise SystemExit(128 + signal.SIGTERM) from None


def parse(arguments: Sequence[str]) -> Command:
    """Returns the command that the arguments spell; exits as argparse does on a usage error (2) or ``--help`` (0).

    Raises:
        InputError: an unknown option or preset, one that is missing, or a setting out of range.
    """
    told = io.StringIO()
    try:
        with redirect_stderr(told):
            return _parse(arguments)
    except SystemExit as stopped:
        # tyro draws a box around every error: its sentence, or that of a setting's own check, goes on instead.
        if stopped.code in (0, None):
            raise
        raise _mistake_behind(stopped) or InputError(_sentence_of(told.getvalue())) from None


def _sentence_of(box: str) -> str:
    """Returns what tyro's box says in its first paragraph, and the options or commands that its second one names."""
    text = "\n".join(line.strip("│ ") for line in box.splitlines() if line[:1] not in ("╭", "╰"))
    paragraphs = [part.split() for part in re.split(r"\n[─-]+(?:\n|$)", text)]
    if "╭" not in box:  # where the terminal's encoding has no such lines, the title is a paragraph of its own
        paragraphs = paragraphs[1:]
    first, hint = paragraphs[0], paragraphs[1] if len(paragraphs) > 1 else []
    if hint[:1] == ["Perhaps"]:
        near = list(dict.fromkeys(word for word in hint if word.startswith("--") and word != "--help"))
        return f"{' '.join(first)}; did you mean {' or '.join(near)}?"
    said = " ".join(first).removesuffix(".")
    return f"{said}; {' '.join(hint).lower()}" if hint[:1] == ["Available"] else said


def _mistake_behind(error: BaseException | None) -> InputError | None:
    while error is not None and not isinstance(error, InputError):
        error = error.__context__
    return error


def _parse(arguments: Sequence[str]) -> Command:
    # What names a set of defaults is looked up first, so that every setting can be an option with its default.
    if arguments and arguments[0] == "transfer":
        name = _given(arguments, "--preset", "cartpole")
        return _parse_one(Transfer, replace(Transfer(out=tyro.MISSING), preset=name, config=preset(name)), arguments)
    if arguments and arguments[0] == "evolve":
        env_id, name = _given(arguments, "--env", "CartPole-v1"), _given(arguments, "--preset", "specialist")
        last = evolve_preset(env_id, name).stages[-1]
        evolution = Evolve(tyro.MISSING, last.search, last.fitness, env_id, name)
        return _parse_one(Evolve, evolution, arguments)
    if arguments and arguments[0] == "train":
        algorithm = _given(arguments, "--algorithm", "ppo")
        settings = agent_preset(_env_id_of(arguments), algorithm)
        default: Train = Train(tyro.MISSING, settings, algorithm=algorithm)
        train: Any = Train[type(settings)]  # type: ignore[misc]
        command: Command = _parse_one(train, default, arguments)
        return command
    choices: dict[str, Callable[..., Command]] = {**COMMANDS, "train": Train[AgentConfig]}
    chosen: Command = tyro.extras.subcommand_cli_from_dict(
        choices, args=list(arguments), prog="simulacra", description=_DESCRIPTION, sort_subcommands=False
    )
    return chosen


def _parse_one(command: type[_C], default: _C, arguments: Sequence[str]) -> _C:
    name = arguments[0]
    description = f"{COMMANDS[name].__doc__}"
    if name == "train":
        description += f" Algorithms: {', '.join(sorted(CONFIGS))}; --algorithm NAME --help shows the settings of one."
    return tyro.cli(command, args=list(arguments[1:]), default=default, prog=f"simulacra {name}",
                    description=description)  # fmt: skip


def _env_id_of(arguments: Sequence[str]) -> str | None:
    """The real environment that a training's world, or else its log, stands for."""
    return env_id_of(_given(arguments, "--world", "")) or env_id_of(_given(arguments, "--logs", ""))


def _given(arguments: Sequence[str], option: str, otherwise: str) -> str:
    """Returns the last value of an option as it was written; one without a value is left to the parser to tell."""
    value = otherwise
    for argument, following in pairwise([*arguments, ""]):
        if argument == option and following:
            value = following
        elif argument.startswith(f"{option}="):
            value = argument.removeprefix(f"{option}=")
    return value
