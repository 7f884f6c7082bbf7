"""Python, uv, the server's package, and packages that stand in the way."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

from mooring.cli.doctor.check import LIMITED, MISSING, OK, WRONG, Check
from mooring.cli.doctor.machine import Machine

VERSIONS = [f"3.{minor}" for minor in range(6, 16)]
# What azureml.core of Mooring and Microsoft's packages both want to own.
MICROSOFTS = re.compile(
    r"^azureml-(core|sdk|defaults|contrib-.*|mlflow|train.*|pipeline.*|telemetry|dataprep|accel-.*)$"
)


def checks(machine: Machine) -> Iterator[Check]:
    """Everything about Python."""
    yield interpreter(sys.version_info[:3], server=machine.importable("mooring_server"))
    yield server_package(machine)
    yield uv(machine)
    yield versions(machine)
    yield azureml(machine)


def interpreter(version: tuple[int, ...], *, server: bool) -> Check:
    """The Python that runs this command."""
    shown = ".".join(map(str, version))
    if version < (3, 9):
        return Check("Python", WRONG, shown, "Mooring's client needs Python 3.9 or newer.")
    if version < (3, 10) and not server:
        return Check(
            "Python", LIMITED, shown, "The server needs Python 3.10 or newer; the client works with this one."
        )
    return Check("Python", OK, shown)


def server_package(machine: Machine) -> Check:
    """Whether a server can be started from this environment."""
    version = machine.packages().get("mooring-server")
    if machine.importable("mooring_server"):
        return Check("Server package", OK, f"mooring-server {version or '(version unknown)'}")
    return Check(
        "Server package",
        LIMITED,
        "mooring-server is not installed here: only servers elsewhere can be used",
        "pip install 'mooring[server]' to run services on this machine, or set MOORING_ENDPOINT.",
    )


def uv(machine: Machine) -> Check:
    """The resolver and installer of the image builder; it comes with mooring-server."""
    path = machine.which("uv")
    if path is None:
        return Check(
            "uv",
            LIMITED,
            "not found: images cannot be built here",
            "pip install 'mooring[server]' brings it.",
        )
    status, text = machine.run([path, "--version"])
    if status != 0:
        return Check(
            "uv", WRONG, f"{path} does not run: {text}", "Install it again: pip install --force-reinstall uv"
        )
    return Check("uv", OK, text)


def versions(machine: Machine) -> Check:
    """Pythons that services may use: old pickles need the Python they were written with."""
    found = [version for version in VERSIONS if machine.which(f"python{version}")]
    path = machine.which("uv")
    if path is not None:
        status, text = machine.run([path, "python", "list", "--only-installed", "--no-python-downloads"])
        if status == 0:
            found += re.findall(r"^cpython-(3\.\d+)\.", text, re.MULTILINE)
    own = "{}.{}".format(*sys.version_info[:2])
    listed = sorted({*found, own}, key=lambda text: int(text.split(".")[1]))
    return Check(
        "Pythons for services",
        OK,
        ", ".join(listed),
        "A model that needs another version: uv python install 3.X" if len(listed) < 3 else "",
    )


def azureml(machine: Machine) -> Check:
    """Microsoft's packages own the import name `azureml` as well; both in one environment cannot work."""
    packages = machine.packages()
    theirs = sorted(f"{name} {version}" for name, version in packages.items() if MICROSOFTS.match(name))
    ours = "mooring-azureml" in packages
    if theirs and ours:
        names = " ".join(line.split()[0] for line in theirs)
        return Check(
            "azureml imports",
            WRONG,
            f"mooring-azureml and Microsoft's {', '.join(theirs)} are in the same environment",
            f"pip uninstall {names}; pip install --force-reinstall --no-deps mooring-azureml. "
            "Or keep theirs in an environment of its own.",
        )
    if theirs:
        return Check(
            "azureml imports",
            LIMITED,
            f"`import azureml` means Microsoft's {', '.join(theirs)}",
            "Scripts that should run on Mooring unchanged: a new environment with mooring-azureml. "
            "`from mooring.sdk.model import Model` works beside them.",
        )
    if not ours:
        return Check(
            "azureml imports",
            MISSING,
            "scripts with `import azureml` do not run here",
            "pip install mooring-azureml (`from mooring.sdk.model import Model` works without it).",
        )
    return Check("azureml imports", OK, f"mooring-azureml {packages['mooring-azureml']}")
