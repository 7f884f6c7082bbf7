"""What the packages' own metadata does not tell: incompatibilities, and which version was current when.

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


_NEEDS = {"scikit-learn": ("0.20", ("numpy", "scipy"))}
"""What wheels before a version need and do not name; conda's packages of them did."""

# The last day on which PyPI had nothing newer than these, by its upload times: `uv pip compile --exclude-newer DAY`.
_SCIKIT_LEARN = {
    (0, 17): "2016-09-27",
    (0, 18): "2017-08-10",
    (0, 19): "2018-09-25",
    (0, 20): "2019-05-09",
    (0, 21): "2019-12-02",
    (0, 22): "2020-05-11",
    (0, 23): "2020-12-21",
    (0, 24): "2021-09-23",
    (1, 0): "2022-05-11",
    (1, 1): "2022-12-07",
    (1, 2): "2023-06-29",
    (1, 3): "2024-01-17",
    (1, 4): "2024-05-20",
    (1, 5): "2024-12-08",
    (1, 6): "2025-06-04",
    (1, 7): "2025-12-09",
}


def unwritten_needs(pins: Iterable[Pin]) -> dict[str, str]:
    """What these pins need and nothing brings: ``numpy`` -> the package and version that needs it."""
    versions = {pin.name: version for pin in pins if (version := _version(pin.shown_version))}
    return {
        needed: f"{name} {versions[name]}"
        for name, (first_good, all_needed) in _NEEDS.items()
        if name in versions and versions[name] < Version(first_good)
        for needed in all_needed
        if needed not in versions
    }


def current_until(version: Version) -> str | None:
    """The day until which a version of scikit-learn, or a correction of it, was the newest; None if none is known."""
    return _SCIKIT_LEARN.get((version.major, version.minor))


def _version(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None
