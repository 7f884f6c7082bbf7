"""Function apps: rules without I/O.

An app is *inactive* until everything that it needs to run is there. What that is, `missing` says.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from mooring_runtime.functions.settings import connection_names
from mooring_server.domain.errors import InvalidRequest

STORAGE = "AzureWebJobsStorage"
REGISTRY_URL = "DOCKER_REGISTRY_SERVER_URL"
REGISTRY_USER = "DOCKER_REGISTRY_SERVER_USERNAME"
REGISTRY_PASSWORD = "DOCKER_REGISTRY_SERVER_PASSWORD"  # noqa: S105 - a setting's name
# Azure asks for it where an app comes from an image: nothing is mounted over /home then.
APP_SERVICE_STORAGE = "WEBSITES_ENABLE_APP_SERVICE_STORAGE"
FX_PREFIX = "DOCKER|"
MAX_SETTINGS = 1000

_SETTING = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:\-]{0,255}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_REPOSITORY = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
_VARIABLE = re.compile(r"%([^%]+)%")


@dataclass(frozen=True)
class Missing:
    """Something without which an app cannot run.

    Attributes:
        name: of the setting, or ``image``.
        message: what is missing and what for.
        hint: how to give it.
    """

    name: str
    message: str
    hint: str

    def to_json(self) -> dict[str, str]:
        """As callers see it."""
        return {"name": self.name, "message": self.message, "hint": self.hint}


@dataclass(frozen=True)
class ImageReference:
    """The name of an image in a registry.

    Attributes:
        host: ``host:port`` of the registry.
        repository: all between the host and the reference.
        reference: a tag or a digest.
    """

    host: str
    repository: str
    reference: str


def parse_image(text: str) -> ImageReference:
    """The image that ``host:port/repository:tag`` or ``host:port/repository@sha256:...`` names.

    A leading ``DOCKER|``, as in Azure's ``linuxFxVersion``, and a scheme are passed over.

    Raises:
        InvalidRequest: ``ImageReferenceInvalid``.
    """
    plain = text.strip()
    if plain.upper().startswith(FX_PREFIX):
        plain = plain[len(FX_PREFIX) :]
    plain = re.sub(r"^https?://", "", plain)
    host, slash, rest = plain.partition("/")
    repository, at, reference = rest.partition("@")
    if not at:
        repository, colon, reference = rest.rpartition(":")
        repository, reference = (repository, reference) if colon else (rest, "latest")
    fits = _DIGEST.fullmatch(reference) if at else _TAG.fullmatch(reference)
    named = bool(slash) and ("." in host or ":" in host or host == "localhost")
    if not named or not _REPOSITORY.fullmatch(repository) or not fits:
        raise InvalidRequest(
            "ImageReferenceInvalid",
            f"{text[:300]!r} does not name an image in a registry.",
            hint="Give what package.location printed, <registry>/package@sha256:<digest>, or "
            "<registry>/package:<tag>.",
            target=text[:300],
        )
    return ImageReference(host.lower(), repository, reference)


def check_settings(settings: Mapping[str, Any]) -> dict[str, str]:
    """App settings with their values as text.

    Raises:
        InvalidRequest: ``AppSettingInvalid`` for a name that Azure refuses on Linux, or too many.
    """
    wrong = sorted(name for name in settings if not _SETTING.fullmatch(name))
    if wrong:
        shown = ", ".join(repr(name[:100]) for name in wrong[:5])
        raise InvalidRequest(
            "AppSettingInvalid",
            f"AppSetting with name(s) {shown} is not allowed.",
            hint="Names have letters, digits, '_', '.', ':' or '-'.",
            target=wrong[0][:100],
        )
    if len(settings) > MAX_SETTINGS:
        raise InvalidRequest(
            "AppSettingInvalid",
            f"{len(settings)} app settings; there may be {MAX_SETTINGS}.",
            hint="Keep data in files or storage.",
        )
    return {name: "" if value is None else str(value) for name, value in settings.items()}


def find_setting(settings: Mapping[str, str], name: str) -> str | None:
    """A setting by its name without regard to case; None if it is missing or empty."""
    folded = name.lower()
    return next((value for key, value in settings.items() if key.lower() == folded), None) or None


def missing(image: str, settings: Mapping[str, str]) -> list[Missing]:
    """What an app needs before its image can be looked at."""
    found = []
    if not image:
        found.append(
            Missing(
                "image",
                "The container image is not set.",
                "Set it: mooring functionapp config container set --image <package.location>.",
            )
        )
    wanted = (
        (REGISTRY_USER, "the user name of the registry that has the image", "--registry-username"),
        (REGISTRY_PASSWORD, "the password of the registry that has the image", "--registry-password"),
    )
    found += [
        Missing(
            name,
            f"The app setting {name} is missing: {what}.",
            f"Set it: mooring functionapp config container set {option} ...; "
            "`az acr credential show` and package.get_container_registry() tell it.",
        )
        for name, what, option in wanted
        if find_setting(settings, name) is None
    ]
    if find_setting(settings, STORAGE) is None:
        found.append(
            Missing(
                STORAGE,
                f"The app setting {STORAGE} is missing: the connection string of the storage account in which the "
                "function host keeps its state.",
                "Name a storage account: mooring functionapp create --storage-account NAME, or set the setting.",
            )
        )
    return found


def missing_for(functions: Iterable[Mapping[str, Any]], settings: Mapping[str, str]) -> list[Missing]:
    """The settings that the functions of an image name and the app does not have.

    Args:
        functions: each with ``name`` and ``bindings``, as in ``function.json``.
        settings: the app's.
    """
    found: dict[str, Missing] = {}
    for function in functions:
        for binding in function["bindings"]:
            text = " ".join(value for value in binding.values() if isinstance(value, str))
            for name in _VARIABLE.findall(text):
                if find_setting(settings, name) is None:
                    found[name] = _named(
                        name, function["name"], settings, "which a path of its bindings names"
                    )
            connection = binding.get("connection")
            if connection and not any(find_setting(settings, n) for n in connection_names(connection)):
                what = f"the connection string of the {binding.get('type')} binding"
                found[connection] = _named(connection, function["name"], settings, what)
    return list(found.values())


def _named(name: str, function: str, settings: Mapping[str, str], what: str) -> Missing:
    close = get_close_matches(name, list(settings), n=1, cutoff=0.85)
    also = f" There is a setting {close[0]}; is it meant?" if close else ""
    return Missing(
        name,
        f"The app setting {name} is missing: function {function} needs it, {what}.{also}",
        f"Set it: mooring functionapp config appsettings set --settings '{name}=...'.",
    )
