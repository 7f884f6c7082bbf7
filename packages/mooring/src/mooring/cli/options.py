"""The types of options that several commands share.

Typer evaluates annotations at run time and the client supports Python 3.9, so that `X | None` cannot be
written in a command's signature: the aliases below stand in for it.
"""
# ruff: noqa: UP045

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from mooring.cli import completion

Text = Optional[str]
Number = Optional[int]
Real = Optional[float]
Flag = Optional[bool]
File = Optional[Path]
Texts = Optional[list[str]]

ServiceName = Annotated[
    str, typer.Option("--name", "-n", help="Name of the service.", autocompletion=completion.service_names)
]
ModelId = Annotated[
    Text,
    typer.Option(
        "--model-id",
        "-i",
        help="Id of the model, NAME:VERSION; NAME alone means its latest version.",
        autocompletion=completion.model_ids,
    ),
]
ModelName = Annotated[
    Text, typer.Option("--model-name", "-n", help="Name of the model.", autocompletion=completion.model_names)
]
Models = Annotated[
    Texts,
    typer.Option(
        "--model",
        "-m",
        metavar="NAME[:VERSION]",
        help="A model; without a version the latest; may be repeated.",
        autocompletion=completion.model_ids,
    ),
]
Tags = Annotated[Texts, typer.Option("--tag", metavar="KEY=VALUE", help="A tag; may be repeated.")]
Properties = Annotated[
    Texts,
    typer.Option(
        "--property", metavar="KEY=VALUE", help="A property (cannot be changed later); may be repeated."
    ),
]
TagFilter = Annotated[
    Texts, typer.Option("--tag", metavar="KEY[=VALUE]", help="Only those with this tag; may be repeated.")
]
PropertyFilter = Annotated[
    Texts,
    typer.Option("--property", metavar="KEY[=VALUE]", help="Only those with this property; may be repeated."),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done and do nothing.")]
NoWait = Annotated[
    bool, typer.Option("--no-wait", help="Return at once; do not wait until the service answers.")
]


def key_values(items: list[str] | None, option: str) -> dict[str, str]:
    """`["k=v"]` as a dictionary; without `=` it is a usage error."""
    result: dict[str, str] = {}
    for item in items or []:
        key, equals, value = item.partition("=")
        if not (key and equals):
            raise typer.BadParameter(f"expected KEY=VALUE, got {item!r}", param_hint=option)
        result[key] = value
    return result


def filters(items: list[str] | None) -> list[str | list[str]]:
    """`["k=v", "k2"]` in the form that `Model.list(tags=...)` takes: `[["k", "v"], "k2"]`."""
    result: list[str | list[str]] = []
    for item in items or []:
        key, equals, value = item.partition("=")
        result.append([key, value] if equals else key)
    return result
