"""The MLflow that is installed here."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re

from mooring.sdk.errors import user_error

OLDEST = (2, 22)
_INSTALL = 'pip install "mooring[mlflow]" (light), or pip install mlflow'


def check_mlflow(what: str) -> None:
    """Refuse to go on without MLflow, or with one that is too old.

    Args:
        what: needs it.

    Raises:
        UserErrorException: MlflowNotInstalled, MlflowTooOld.
    """
    version = _version()
    if importlib.util.find_spec("mlflow") is None or version is None:
        raise user_error(
            f"{what} needs MLflow, which is not installed.", code="MlflowNotInstalled", hint=_INSTALL
        )
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    if numbers < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise user_error(
            f"{what} needs MLflow {oldest} or newer; {version} is installed.",
            code="MlflowTooOld",
            hint=f'pip install --upgrade "mlflow>={oldest}"',
        )


def _version() -> str | None:
    # The full distribution has the light one as a part, of the same version.
    try:
        return importlib.metadata.version("mlflow-skinny")
    except importlib.metadata.PackageNotFoundError:
        return None
