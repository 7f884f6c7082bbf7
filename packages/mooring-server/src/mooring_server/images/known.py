"""Incompatibilities that the packages' own metadata does not tell.

Wheels from before NumPy 2 do not say that they need NumPy 1: the resolver pairs an old scikit-learn with
the newest NumPy, and the import fails. The user, who only wrote the one pin that matters for the pickle,
would have to find out. The limits are applied after a first resolution, only where they are needed.
"""

from __future__ import annotations

from collections.abc import Iterable

from packaging.version import InvalidVersion, Version

from mooring_server.images.locks import Pin

_NUMPY_2 = {
    "scikit-learn": "1.4.2",
    "scipy": "1.13.0",
    "pandas": "2.2.2",
    "matplotlib": "3.8.4",
    "torch": "2.3.0",
    "torchvision": "0.18.0",
    "tensorflow": "2.18.0",
    "onnxruntime": "1.19.0",
    "pyarrow": "16.0.0",
    "h5py": "3.11.0",
    "statsmodels": "0.14.2",
    "scikit-image": "0.23.2",
    "opencv-python": "4.10.0.84",
    "opencv-python-headless": "4.10.0.84",
}
"""The first version whose wheels work with NumPy 2 (each project's release notes)."""

_NUMPY_1_24 = {
    "scikit-learn": "1.0",
    "tensorflow": "2.12.0",
    "scikit-image": "0.20.0",
    "statsmodels": "0.13.5",
}
"""The first version that does without ``numpy.float`` and friends, which NumPy 1.24 removed."""


def numpy_limit(pins: Iterable[Pin]) -> tuple[str, str] | None:
    """The limit for NumPy that these pins need and do not keep, and the package that needs it."""
    versions = {pin.name: version for pin in pins if (version := _version(pin.shown_version))}
    numpy = versions.get("numpy")
    if numpy is None:
        return None
    for limit, table in (("1.24", _NUMPY_1_24), ("2", _NUMPY_2)):
        if numpy < Version(limit):
            continue
        for name, first_good in table.items():
            if name in versions and versions[name] < Version(first_good):
                return f"numpy<{limit}", f"{name} {versions[name]}"
    return None


def _version(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None
