"""The Service Bus broker: needed for queues of one's own, for nothing else."""

from __future__ import annotations

from collections.abc import Iterator

from mooring.cli.doctor.check import MISSING, OK, Check
from mooring.cli.doctor.machine import Machine

NAME = "Service Bus"


def checks(machine: Machine) -> Iterator[Check]:
    """Whether a server started from this environment can run the broker."""
    if not machine.importable("mooring_server"):
        return
    if machine.importable("proton"):
        yield Check(
            NAME, OK, f"Qpid Proton {machine.packages().get('python-qpid-proton', '(version unknown)')}"
        )
        return
    compiler = machine.which("cc") or machine.which("gcc")
    yield Check(
        NAME,
        MISSING,
        "the broker is not installed; needed only for queues served by Mooring itself",
        'pip install "mooring-server[servicebus]"'
        + (
            " (compiles Qpid Proton, some minutes)."
            if compiler
            else "; it compiles Qpid Proton, and there is no C compiler here (Debian: apt install gcc python3-dev)."
        ),
    )
