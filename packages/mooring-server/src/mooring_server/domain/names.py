"""Names and ids, by Azure's rules (reference: azureml-core 1.61, client-side validation)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from types import MappingProxyType

from mooring_server.domain.errors import InvalidRequest

_RULES: Mapping[str, tuple[re.Pattern[str], str]] = MappingProxyType(
    {
        "model": (
            re.compile(r"[a-zA-Z0-9][a-zA-Z0-9\-\._]{0,254}"),
            "1 to 255 letters, digits, '-', '.' or '_', beginning with a letter or digit",
        ),
        "image": (
            re.compile(r"(?=.{3,32}$)[a-z0-9]([-\.a-z0-9]*[a-z0-9])?"),
            "3 to 32 lower-case letters, digits, '-' or '.', beginning and ending with a letter or digit",
        ),
        "service": (
            re.compile(r"(?=.{3,32}$)[a-z]([-a-z0-9]*[a-z0-9])?"),
            "3 to 32 lower-case letters, digits or '-', beginning with a letter and ending with a letter or digit",
        ),
        "environment": (
            re.compile(r"[a-zA-Z0-9][a-zA-Z0-9\-\._]{0,254}"),
            "1 to 255 letters, digits, '-', '.' or '_', beginning with a letter or digit",
        ),
        "workspace": (
            re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_-]{1,32}"),
            "2 to 33 letters, digits, '-' or '_', beginning with a letter or digit",
        ),
        "resource group": (
            re.compile(r"[\w\-\.\(\)]{0,89}[\w\-\(\)]"),
            "1 to 90 letters, digits, '_', '-', '(', ')' or '.', not ending with '.'",
        ),
        # Microsoft.Web's own: the name is the first part of the app's host name.
        "function app": (
            re.compile(r"(?=.{2,60}$)[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?"),
            "2 to 60 letters, digits or '-', beginning and ending with a letter or digit",
        ),
        "App Service plan": (
            re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_-]{0,39}"),
            "1 to 40 letters, digits, '-' or '_', beginning with a letter or digit",
        ),
        "token": (
            re.compile(r"[a-zA-Z0-9][a-zA-Z0-9\-\._]{0,63}"),
            "1 to 64 letters, digits, '-', '.' or '_', beginning with a letter or digit",
        ),
        "Service Bus namespace": (
            re.compile(r"(?=.{6,50}$)(?!.*(-sb|-mgmt)$)[a-zA-Z][a-zA-Z0-9-]*[a-zA-Z0-9]"),
            "6 to 50 letters, digits or '-', from a letter to a letter or digit, not ending with -sb or -mgmt",
        ),
        "queue": (
            re.compile(r"(?=.{1,260}$)[a-zA-Z0-9]([\w\-\.]*[a-zA-Z0-9])?", re.ASCII),
            "1 to 260 letters, digits, '-', '.' or '_', beginning and ending with a letter or digit",
        ),
        "authorization rule": (
            re.compile(r"(?=.{1,50}$)[a-zA-Z0-9]([\w\-\.]*[a-zA-Z0-9])?", re.ASCII),
            "1 to 50 letters, digits, '-', '.' or '_', beginning and ending with a letter or digit",
        ),
        "subscription": (
            re.compile(r"[a-zA-Z0-9][a-zA-Z0-9-]{0,63}"),
            "a subscription id (letters, digits and '-')",
        ),
    }
)


def check_name(kind: str, name: str) -> str:
    """Return ``name`` if Azure's rule for ``kind`` allows it.

    Raises:
        InvalidRequest: ``InvalidName``, with the rule.
    """
    pattern, rule = _RULES[kind]
    if not pattern.fullmatch(name):
        raise InvalidRequest(
            "InvalidName",
            f"{name!r} is not a valid {kind} name.",
            hint=f"A {kind} name has {rule}." if kind != "subscription" else f"Give {rule}.",
            target=name,
        )
    return name


def split_id(kind: str, value: str) -> tuple[str, int]:
    """``name:version`` of a model or image.

    Raises:
        InvalidRequest: ``InvalidId``.
    """
    name, _, version = value.rpartition(":")
    if not name or not version.isascii() or not version.isdigit() or len(version) > 9:
        raise InvalidRequest(
            "InvalidId",
            f"{value!r} is not a valid {kind} id.",
            hint=f"A {kind} id is name:version, for example my{kind}:1.",
            target=value,
        )
    return name, int(version)


def workspace_key(subscription: str, resource_group: str, name: str) -> str:
    """Identity of a workspace; Azure compares these names without regard to case."""
    return f"{subscription}/{resource_group}/{name}".lower()


def registry_name(subscription: str, resource_group: str, name: str) -> str:
    """The workspace registry's name: 5 to 50 lower-case alphanumerics, as ACR demands, stable for a workspace."""
    stem = re.sub(r"[^a-z0-9]", "", name.lower())[:20]
    digest = hashlib.sha256(workspace_key(subscription, resource_group, name).encode()).hexdigest()
    return f"{stem}{digest[:10]}"


def workspace_id(subscription: str, resource_group: str, name: str) -> str:
    """The ARM id of a workspace."""
    return (
        f"/subscriptions/{subscription}/resourceGroups/{resource_group}"
        f"/providers/Microsoft.MachineLearningServices/workspaces/{name}"
    )


def storage_account_id(subscription: str, resource_group: str, name: str) -> str:
    """The ARM id of a storage account."""
    return (
        f"/subscriptions/{subscription}/resourceGroups/{resource_group}"
        f"/providers/Microsoft.Storage/storageAccounts/{name}"
    )


def web_id(subscription: str, resource_group: str, kind: str, name: str) -> str:
    """The ARM id of a resource of Microsoft.Web: ``sites`` (function apps) or ``serverfarms`` (plans)."""
    return (
        f"/subscriptions/{subscription}/resourceGroups/{resource_group}/providers/Microsoft.Web/{kind}/{name}"
    )
