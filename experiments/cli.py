"""``simulacra``: parses the command line, runs a command, and tells bad input in one sentence with exit code 2."""

import io
import re
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr
from dataclasses import replace

import tyro

from envs.errors import InputError
from experiments.commands import COMMANDS, Command, Fit, Offline, Transfer
from experiments.presets import preset
from experiments.signals import Terminated

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
        hint = "; with --resume it goes on where it stopped" if isinstance(command, Fit | Offline | Transfer) else ""
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
    if arguments and arguments[0] == "transfer":
        # The preset is looked up first, so that every one of its settings can be an option whose default it gives.
        return tyro.cli(
            Transfer,
            args=list(arguments[1:]),
            default=_transfer_from_preset(arguments),
            prog="simulacra transfer",
            description=Transfer.__doc__,
        )
    choices: dict[str, Callable[..., Command]] = dict(COMMANDS)
    command: Command = tyro.extras.subcommand_cli_from_dict(
        choices, args=list(arguments), prog="simulacra", description=_DESCRIPTION, sort_subcommands=False
    )
    return command


def _transfer_from_preset(arguments: Sequence[str]) -> Transfer:
    name = "cartpole"
    for i, argument in enumerate(arguments):
        if argument == "--preset" and i + 1 < len(arguments):
            name = arguments[i + 1]
        elif argument.startswith("--preset="):
            name = argument.removeprefix("--preset=")
    return replace(Transfer(out=tyro.MISSING), preset=name, config=preset(name))
