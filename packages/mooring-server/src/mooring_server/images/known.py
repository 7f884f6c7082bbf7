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


_SCIPY_1_11 = {"scikit-learn": "1.1"}
"""The first version that does without ``sym_pos`` of `scipy.linalg.solve`, which SciPy 1.11 removed."""

_RULES = (("numpy", "1.24", _NUMPY_1_24), ("numpy", "2", _NUMPY_2), ("scipy", "1.11", _SCIPY_1_11))


def unwritten_limits(pins: Iterable[Pin]) -> dict[str, str]:
    """The limits these pins need and do not keep: ``numpy<2`` -> the package and version that needs it.

    At most one for each limited package, the strictest.
    """
    versions = {pin.name: version for pin in pins if (version := _version(pin.shown_version))}
    found: dict[str, tuple[str, str]] = {}
    for limited, limit, table in _RULES:
        if limited not in versions or versions[limited] < Version(limit) or limited in found:
            continue
        for name, first_good in table.items():
            if name in versions and versions[name] < Version(first_good):
                found[limited] = (f"{limited}<{limit}", f"{name} {versions[name]}")
                break
    return dict(found.values())


def _version(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None
