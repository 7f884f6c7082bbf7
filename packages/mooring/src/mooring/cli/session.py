"""What every command gets: options for the workspace and the output, and one place for errors.

`@command(app, "list")` declares a command. Its function takes a `Session` first; the options
`-w/-g/--subscription-id`, `--output` and `--debug` are added to the ones the function itself declares.
"""

from __future__ import annotations

import functools
import inspect
import os
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer
from typer.core import TyperGroup

from mooring.cli import completion, failures
from mooring.cli.options import Flag, Text

if TYPE_CHECKING:
    from mooring.cli.output import Columns
    from mooring.sdk.workspace import Workspace

# The root of typer's usage errors; which package it lies in depends on typer's version.
ClickException: type[Exception] = next(
    kind
    for kind in typer.BadParameter.__mro__
    if kind.__name__ == "ClickException" and issubclass(kind, Exception)
)
FORMATS = ("json", "table")
INTERRUPTED = 130  # 128 + SIGINT, as shells report it

OutputOption = Annotated[
    Text,
    typer.Option(
        "--output",
        "-o",
        help="json or table [default: table on a terminal, json otherwise]",
        autocompletion=lambda: list(FORMATS),
        show_default=False,
    ),
]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.", hidden=True)]
WorkspaceOption = Annotated[
    Text,
    typer.Option(
        "--workspace-name",
        "-w",
        help="Workspace [default: the one in config.json, else 'default']",
        rich_help_panel="Workspace",
        autocompletion=completion.workspace_names,
        show_default=False,
    ),
]
GroupOption = Annotated[
    Text,
    typer.Option(
        "--resource-group",
        "-g",
        help="Resource group of the workspace.",
        rich_help_panel="Workspace",
        show_default=False,
    ),
]
SubscriptionOption = Annotated[
    Text,
    typer.Option(
        "--subscription-id",
        help="Subscription of the workspace.",
        rich_help_panel="Workspace",
        show_default=False,
    ),
]


class Session:
    """One run of one command."""

    def __init__(
        self,
        output: str,
        *,
        quiet: bool = False,
        debug: bool = False,
        workspace_name: str | None = None,
        resource_group: str | None = None,
        subscription_id: str | None = None,
    ) -> None:
        self.output = output
        # Progress goes to stderr in a pipe, too; only those who ask for JSON get nothing but JSON.
        self.quiet = quiet
        self.debug = debug
        self.workspace_name = workspace_name
        self.resource_group = resource_group
        self.subscription_id = subscription_id

    @property
    def json(self) -> bool:
        """Whether a program reads the answer."""
        return self.output == "json"

    def workspace(self) -> Workspace:
        """The workspace that the options, else config.json, else the default name."""
        from mooring.cli import workspaces

        return workspaces.resolve(self.workspace_name, self.resource_group, self.subscription_id)

    def show(self, data: Mapping[str, Any], fields: Columns) -> None:
        """Print one object."""
        from mooring.cli import output

        if self.json:
            output.print_json(data)
        else:
            output.print_record(data, fields)

    def show_all(self, rows: list[dict[str, Any]], columns: Columns, *, empty: str) -> None:
        """Print a list of objects."""
        from mooring.cli import output

        if self.json:
            output.print_json(rows)
        else:
            output.print_table(rows, columns, empty=empty)

    def say(self, line: str) -> None:
        """A sentence for people, on stderr so that stdout stays clean; silent with `--output json`."""
        if not self.quiet:
            print(line, file=sys.stderr, flush=True)  # noqa: T201


class Group(TyperGroup):
    """The root command: exceptions end here, as a block on stderr and exit status 1 (130 after Ctrl+C)."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that the arguments name."""
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort, ClickException):
            raise
        except BrokenPipeError:
            # The reader of a pipe (`head`) is done; writing to stdout again at exit would fail once more.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None
        except Exception as error:  # noqa: BLE001 - the edge where all errors become text
            settings = ctx.meta.get("mooring", {})
            debug = bool(settings.get("debug") or os.environ.get("MOORING_DEBUG"))
            failures.report(error, machine=settings.get("output") == "json", debug=debug)
            raise typer.Exit(getattr(error, "exit_status", 1)) from None


Function = Callable[..., Any]


def command(
    app: typer.Typer, name: str, *, workspace: bool = True, people: bool = False, hidden: bool = False
) -> Callable[[Function], Function]:
    """Declare a command of `app`. `people`: a table is the default in pipes too."""

    def declare(function: Function) -> Function:
        hints = _annotations(function)
        own = [
            p.replace(annotation=hints[p.name])
            for p in list(inspect.signature(function).parameters.values())[1:]
        ]
        shared = [*(_workspace_parameters() if workspace else []), *_output_parameters()]

        @functools.wraps(function)
        def run(ctx: typer.Context, **arguments: Any) -> Any:
            asked = arguments.pop("output")
            output = _format(asked, people=people)
            settings = {name: arguments.pop(name) for name in [p.name for p in shared] if name in arguments}
            ctx.meta["mooring"] = {"output": output, "debug": settings["debug"]}
            from mooring.cli.output import results_only

            with results_only():
                return function(Session(output, quiet=asked == "json", **settings), **arguments)

        context = inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
        keyword = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in [*own, *shared]]
        run.__signature__ = inspect.Signature([context, *keyword])  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in [context, *keyword]}
        app.command(name, hidden=hidden, help=_help(function))(run)
        return function

    return declare


def _annotations(function: Function) -> dict[str, Any]:
    """The evaluated annotations as they are written.

    Given the function itself, `get_type_hints` before Python 3.11 makes `Optional[Annotated[...]]` of a parameter
    whose default is None, and typer would not find its option in there.
    """
    bare: Any = SimpleNamespace(__annotations__=function.__annotations__)
    return get_type_hints(bare, globalns=function.__globals__, include_extras=True)


def _help(function: Function) -> str:
    """The docstring; its examples keep their lines (a backspace is the mark for that)."""
    return re.sub(r"^(Examples?:)$", "\b\n\\1", inspect.cleandoc(function.__doc__ or ""), flags=re.MULTILINE)


def group(help_text: str) -> typer.Typer:
    """A group of commands, such as `mooring model`."""
    return typer.Typer(help=help_text, no_args_is_help=True, rich_markup_mode=None)


def _format(asked: str | None, *, people: bool) -> str:
    chosen = asked or os.environ.get("MOORING_OUTPUT")
    if chosen is None:
        return "table" if people or sys.stdout.isatty() else "json"
    if chosen not in FORMATS:
        raise typer.BadParameter(f"expected json or table, got {chosen!r}", param_hint="--output")
    return chosen


def _parameter(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _workspace_parameters() -> list[inspect.Parameter]:
    return [
        _parameter("workspace_name", WorkspaceOption, None),
        _parameter("resource_group", GroupOption, None),
        _parameter("subscription_id", SubscriptionOption, None),
    ]


def _output_parameters() -> list[inspect.Parameter]:
    return [_parameter("output", OutputOption, None), _parameter("debug", DebugOption, False)]


__all__ = ["Flag", "Group", "Path", "Session", "command", "group"]
