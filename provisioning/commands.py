"""What ``tallygate`` can do, and how an error is told. Never imported by a board.

Commands come from the entry-point group ``tallygate.commands``; each entry is a function or a Typer
application. Errors are one sentence on stderr; exit code 2 means a bad board file or argument.
"""

from __future__ import annotations

import os
import sys
from importlib.metadata import EntryPoint, entry_points, version
from typing import Annotated

import typer

from provisioning.ctrl_c import INTERRUPTED
from provisioning.trouble import BAD_INPUT, Trouble

GROUP = "tallygate.commands"


def build() -> typer.Typer:
    """The application with every registered command. A command that cannot be loaded is named on stderr."""
    app = typer.Typer(
        name="tallygate",
        help="Run, check and watch the boards of a staffless shop.\n\n"
        "Example: tallygate boards boards/*.toml",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
    for entry in sorted(entry_points(group=GROUP), key=lambda e: e.name):
        _register(app, entry)
    return app


def _options(
    show_version: Annotated[
        bool, typer.Option("--version", help="Print the version and end.", is_eager=True)
    ] = False,
) -> None:
    if show_version:
        typer.echo(version("tallygate"))
        raise typer.Exit


def _register(app: typer.Typer, entry: EntryPoint) -> None:
    try:
        command = entry.load()
    except Exception as error:  # another package's command must not take ours down
        print(
            f"tallygate: the command {entry.name} ({entry.value}) cannot be loaded: {error}", file=sys.stderr
        )
        return
    if isinstance(command, typer.Typer):
        app.add_typer(command, name=entry.name)
    else:
        app.command(name=entry.name)(command)


def run(arguments: list[str] | None = None) -> int:
    """Run one command line; returns the exit code. No exception but SystemExit leaves."""
    try:
        code = build()(args=arguments, prog_name="tallygate", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except Trouble as error:
        print(f"tallygate: {error}", file=sys.stderr)
        return error.code
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        # the reader (head, less) has gone; keep Python from complaining again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"tallygate: {where}{error.strerror or error}", file=sys.stderr)
        return 1
    except Exception as error:
        return _usage(error)


def _usage(error: Exception) -> int:
    """Argument errors of the command-line library (its class moved between versions) as one sentence."""
    format_message = getattr(error, "format_message", None)
    if format_message is None:
        print(
            f"tallygate: internal error, please report it: {type(error).__name__}: {error} "
            "(TALLYGATE_TRACEBACK=1 shows where)",
            file=sys.stderr,
        )
        if os.environ.get("TALLYGATE_TRACEBACK"):
            raise error
        return 70
    message = str(format_message()).strip()
    if not message or message.startswith("Usage:"):  # no command given: the help itself
        print(message or "Try: tallygate --help", file=sys.stderr)
        return BAD_INPUT
    context = getattr(error, "ctx", None)
    path = getattr(context, "command_path", "tallygate")
    # choices come one a line, and some versions name the class of the error that the option raised
    told = " ".join(message.split()).replace("Value error, ", "").rstrip(".")
    print(f"{path}: {told}. Try: {path} --help", file=sys.stderr)
    return BAD_INPUT
