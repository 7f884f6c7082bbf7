"""pip's options in the ``pip`` section of a conda file."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from typing import Any

from mooring_server.domain.errors import InvalidRequest

_VALUES = {
    "-i": "index_url",
    "--index-url": "index_url",
    "--pypi-url": "index_url",
    "--extra-index-url": "extra_index_urls",
    "-f": "find_links",
    "--find-links": "find_links",
    "--trusted-host": "trusted_hosts",
}
_FLAGS = {"--no-index": "no_index", "--pre": "pre"}
# What they ask for is what the resolver does anyway.
_HARMLESS = {
    "--prefer-binary",
    "--only-binary",
    "--disable-pip-version-check",
    "--no-cache-dir",
    "--upgrade",
    "-U",
}


@dataclass(frozen=True)
class PipOptions:
    """Where packages come from, as far as the environment says it. Addresses may contain credentials."""

    index_url: str | None = None
    extra_index_urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    trusted_hosts: tuple[str, ...] = ()
    no_index: bool = False
    pre: bool = False

    def with_option(self, line: str) -> PipOptions:
        """These options and the ones of a line like ``--extra-index-url https://...``.

        Raises:
            InvalidRequest: code ``PipOptionUnsupported``.
        """
        try:
            words = shlex.split(line)
        except ValueError as error:
            raise _unsupported(line.split(maxsplit=1)[0], f"it cannot be read ({error})") from error
        result = self
        while words:
            word, equals, value = words.pop(0).partition("=")
            if word in _FLAGS:
                result = replace(result, **{_FLAGS[word]: True})  # type: ignore[arg-type]
            elif word in _HARMLESS:
                if word == "--only-binary" and not equals and words:
                    words.pop(0)
            elif word in _VALUES:
                if not equals:
                    if not words:
                        raise _unsupported(word, "it has no value")
                    value = words.pop(0)
                result = _with_value(result, _VALUES[word], value)
            else:
                raise _unsupported(word, "only options that say where packages come from can be used")
        return result


def _with_value(options: PipOptions, name: str, value: str) -> PipOptions:
    if name == "index_url":
        return replace(options, index_url=value)
    changes: dict[str, Any] = {name: (*getattr(options, name), value)}
    return replace(options, **changes)


def _unsupported(option: str, why: str) -> InvalidRequest:
    return InvalidRequest(
        "PipOptionUnsupported",
        f"The option {option} in the environment's pip section cannot be used: {why}.",
        hint=f"Usable are {', '.join(sorted([*_VALUES, *_FLAGS]))}. "
        "Write the requirements themselves instead of -r.",
        phase="Resolve",
        target=option,
    )
