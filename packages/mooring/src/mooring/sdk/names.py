"""Names and numbers that are checked before anything is sent. Rules: Azure's client-side validation."""

from __future__ import annotations

import re

from mooring.sdk.errors import invalid

_MODEL = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9\-._]{0,254}")
_IMAGE = re.compile(r"[a-z0-9]([-.a-z0-9]*[a-z0-9])?")
_SERVICE = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{,61}[a-z0-9])?")


def check_model_name(name: str) -> None:
    """Letters, digits, ``-``, ``.`` and ``_``; at most 255 characters."""
    if not isinstance(name, str) or not _MODEL.fullmatch(name):
        raise invalid(
            f"The model name {name!r} is not valid: 1 to 255 letters, digits, '-', '.' or '_', "
            "beginning with a letter or digit.",
            code="InvalidModelName",
        )


def check_image_name(name: str) -> None:
    """Lower case, 3 to 32 characters."""
    if not isinstance(name, str) or not _IMAGE.fullmatch(name) or not 3 <= len(name) <= 32:
        raise invalid(
            f"The image name {name!r} is not valid: 3 to 32 lower-case letters, digits, '-' or '.', "
            "beginning and ending with a letter or digit.",
            code="InvalidImageName",
        )


def check_service_name(name: str) -> None:
    """Lower case, 3 to 32 characters, beginning with a letter."""
    if not isinstance(name, str) or not _SERVICE.fullmatch(name) or not 3 <= len(name) <= 32:
        raise invalid(
            f"The service name {name!r} is not valid: 3 to 32 lower-case letters, digits or '-', beginning "
            "with a letter and ending with a letter or digit.",
            code="InvalidServiceName",
        )


def check_namespace(name: str | None) -> None:
    """A Kubernetes name space."""
    if name and not _NAMESPACE.fullmatch(name):
        raise invalid(f"The namespace {name!r} is not valid.", code="InvalidNamespace")


def check_positive(name: str, value: float | None, *, zero: bool = False) -> None:
    """A number above zero (or not below it), if it is given at all."""
    if value is not None and (value < 0 or (value == 0 and not zero)):
        limit = "0 or more" if zero else "greater than 0"
        raise invalid(f"{name} is {value!r}; it has to be {limit}.", code="InvalidNumber")


def check_limit(name: str, limit: float | None, request: float | None) -> None:
    """A limit is not below what is requested."""
    check_positive(name, limit)
    if limit is not None and request is not None and limit < request:
        raise invalid(f"{name} is {limit}, less than the {request} that is requested.", code="InvalidNumber")


def check_port(port: int | None) -> None:
    """1 to 65535."""
    if port is not None and (not isinstance(port, int) or isinstance(port, bool) or not 1 <= port <= 65535):
        raise invalid(f"The port {port!r} is not valid: a whole number from 1 to 65535.", code="InvalidPort")
