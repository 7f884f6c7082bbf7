"""How many raw bytes `joblib` writes after the description of a NumPy array (joblib 0.10 and later)."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

_WRAPPER = re.compile(r"(sklearn\.externals\.)?joblib\.numpy_pickle\.NumpyArrayWrapper")
_HAS_OBJECT = 1  # numpy.dtype.flags


@dataclass(frozen=True)
class Name:
    """Something imported: ``module.name``; ``name`` may have dots."""

    module: str
    name: str

    @property
    def path(self) -> str:
        """Both."""
        return f"{self.module}.{self.name}"


@dataclass
class DType:
    """A data type; ``size`` of one element in bytes, None when its text was not understood."""

    size: int | None
    objects: bool


@dataclass
class Wrapper:
    """The array's description that joblib pickles in its place; the array follows it."""


@dataclass(frozen=True)
class Raw:
    """What follows a `Wrapper`.

    Attributes:
        size: bytes.
        padded: whether a byte with the length of a padding, and the padding, go before.
        pickled: whether a pickle follows instead.
    """

    size: int
    padded: bool
    pickled: bool


def made(callee: Any, arguments: Any) -> DType | Wrapper | None:
    """What a call in a pickle makes, if it matters here."""
    if not isinstance(callee, Name):
        return None
    values = arguments if isinstance(arguments, tuple) else ()
    if callee.path == "numpy.dtype" and values and isinstance(values[0], str):
        return _dtype(values[0])
    if callee.path == "copyreg._reconstructor" and values:
        return made(values[0], ())
    return Wrapper() if _WRAPPER.fullmatch(callee.path) else None


def refined(dtype: DType, state: Any) -> None:
    """Apply a data type's state: that of a structure tells of objects in it."""
    if isinstance(state, tuple) and len(state) >= 8 and isinstance(state[7], int):
        dtype.objects = dtype.objects or bool(state[7] & _HAS_OBJECT)


def following(state: Any) -> Raw | None:
    """What follows a description with this state; None when that cannot be known."""
    if not isinstance(state, dict):
        return None
    dtype, shape = state.get("dtype"), state.get("shape")
    if not isinstance(dtype, DType) or not isinstance(shape, tuple):
        return None
    if dtype.objects:
        return Raw(0, padded=False, pickled=True)
    if dtype.size is None or any(not isinstance(length, int) or length < 0 for length in shape):
        return None
    padded = state.get("numpy_array_alignment_bytes") is not None
    return Raw(math.prod(shape) * dtype.size, padded, pickled=False)


def _dtype(text: str) -> DType:
    match = re.fullmatch(r"[<>=|]?([a-zA-Z?])(\d{0,9})", text)
    if match is None:
        return DType(None, objects=False)
    kind, digits = match.groups()
    if kind == "O":
        return DType(8, objects=True)
    if not digits:
        return DType(1 if kind in "?bB" else None, objects=False)
    return DType(int(digits) * (4 if kind == "U" else 1), objects=False)
