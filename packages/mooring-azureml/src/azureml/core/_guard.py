"""Two packages cannot own the name ``azureml.core``: say so before anything half works."""

from __future__ import annotations

from importlib import metadata

OTHER = "azureml-core"


def check(other: str = OTHER) -> None:
    """Refuse to work beside Microsoft's package.

    Raises:
        ImportError: it is installed in this environment.
    """
    try:
        version = metadata.version(other)
    except metadata.PackageNotFoundError:
        return
    raise ImportError(
        f"Both {other} {version} (Microsoft's) and mooring-azureml are installed in this environment, "
        "and both own the import name azureml.core. "
        f"To use Mooring: pip uninstall {other} && pip install --force-reinstall --no-deps mooring-azureml. "
        f"To use Azure: pip uninstall mooring-azureml && pip install --force-reinstall --no-deps {other}."
    )
