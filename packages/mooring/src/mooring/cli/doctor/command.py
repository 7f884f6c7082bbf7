"""The command `mooring doctor`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from mooring.cli.doctor.check import LIMITED, MISSING, OK, WRONG, Check, verdict
from mooring.cli.session import Session

MARKS = {
    OK: ("ok", "green"),
    LIMITED: ("limited", "yellow"),
    MISSING: ("missing", "yellow"),
    WRONG: ("WRONG", "bold red"),
}


def examine(*, with_network: bool) -> Iterator[Check]:
    """All checks of this machine, in the order in which they are shown."""
    from mooring.cli.doctor import containers, isolation, network, place, python, service_bus
    from mooring.cli.doctor.machine import ThisMachine
    from mooring.sdk import local_server

    machine = ThisMachine()
    yield from python.checks(machine)
    yield from place.checks(machine, local_server.status())
    yield network.loopback()
    if with_network:
        yield network.index(machine)
    yield from isolation.checks(machine)
    yield from containers.checks(machine)
    yield from service_bus.checks(machine)


def doctor(
    session: Session,
    network: Annotated[bool, typer.Option("--network", help="Also try to reach the package index.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Instead, look whether the server's data is whole.")
    ] = False,
    deep: Annotated[bool, typer.Option("--deep", help="With --check: read every file and compare.")] = False,
) -> None:
    """Tell what this machine can and cannot do, and what would make it able.

    Exit status 1 when something that the main job needs is wrong. With --check: when the database, the contents
    and the running services do not fit together. A running server is asked; else the data directory is read.

    Examples:
      mooring doctor
      mooring doctor --network --output json
      mooring doctor --check --deep
    """
    from mooring.cli import output

    if deep and not check:
        raise typer.BadParameter("belongs to --check", param_hint="--deep")
    if check:
        from mooring.cli.doctor import home

        found = home.report(deep=deep)
        if session.json:
            output.print_json(found)
        else:
            home.show(found)
        if not found["ok"]:
            raise typer.Exit(1)
        return

    checks = list(examine(with_network=network))
    report = verdict(checks)
    if session.json:
        output.print_json(report)
    else:
        _print(checks)
    if not report["ok"]:
        raise typer.Exit(1)


def _print(checks: list[Check]) -> None:
    from rich.console import Console

    from mooring.cli import output

    console = Console(highlight=False, soft_wrap=True, file=output.stdout())
    width = max(len(check.name) for check in checks)
    for check in checks:
        mark, style = MARKS[check.status]
        console.print(f"{mark:<9}", style=style, end="")
        console.print(f"{check.name:<{width}}  {check.detail}", markup=False)
        if check.fix:
            console.print(f"{'':<9}{'':<{width}}  -> {check.fix}", markup=False, style="dim")
    wrong = sum(check.status == WRONG for check in checks)
    console.print()
    console.print(
        f"{wrong} thing{'s' if wrong > 1 else ''} must be put right first."
        if wrong
        else "The main job works here: register, build, deploy, score."
    )
