"""Where packages come from: the settings of the environment, of uv and of pip, brought together for uv.

What the environment's ``pip`` section says comes first. uv's own settings (``UV_*``, uv.toml) are read by
uv. Only when those say nothing about indexes are pip's settings translated, so that a machine set up for
pip just works.
"""

from __future__ import annotations

import configparser
import hashlib
import json
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mooring_server.images.pipoptions import PipOptions
from mooring_server.images.uv import own_settings_text, redact

_UV_INDEX_VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS")
_UV_INDEX_KEYS = re.compile(
    r"(?m)^\s*(\[\[\s*(pip\.)?index\s*\]\]|(index|index-url|extra-index-url|find-links|no-index)\s*=)"
)
# What changes a resolution; credentials, caches and timeouts do not.
_UV_RESOLUTION = re.compile(
    r"UV_(DEFAULT_INDEX|INDEX|INDEX_URL|EXTRA_INDEX_URL|FIND_LINKS|INDEX_STRATEGY|PRERELEASE|RESOLUTION|"
    r"FORK_STRATEGY|EXCLUDE_NEWER|CONSTRAINT|OVERRIDE|EXCLUDE|NO_BINARY(_PACKAGE)?|NO_BUILD(_PACKAGE)?|"
    r"TORCH_BACKEND|CONFIG_FILE|NO_CONFIG|OFFLINE)"
)


@dataclass(frozen=True)
class IndexSettings:
    """What uv is told about package indexes.

    Attributes:
        variables: environment variables for uv; may contain credentials.
        arguments: options without credentials.
        fingerprint: the same for the same settings; does not change with credentials.
    """

    variables: Mapping[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    fingerprint: str = ""


def index_settings(options: PipOptions) -> IndexSettings:
    """The settings of this machine for an environment with the given pip options."""
    uv_toml = own_settings_text()
    own = any(os.environ.get(name) for name in _UV_INDEX_VARIABLES) or bool(_UV_INDEX_KEYS.search(uv_toml))
    pip = {} if own else pip_settings(os.environ)
    settings = translate(pip, options)
    facts = [
        {name: redact(value) for name, value in settings.variables.items() if name != "SSL_CERT_FILE"},
        settings.arguments,
        {name: redact(value) for name, value in os.environ.items() if _UV_RESOLUTION.fullmatch(name)},
        redact(uv_toml),
    ]
    fingerprint = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    return IndexSettings(settings.variables, settings.arguments, fingerprint)


def translate(pip: Mapping[str, str], options: PipOptions) -> IndexSettings:
    """Translate pip's settings and an environment's options into uv's terms.

    pip takes the best version from all indexes alike; uv by default takes the first index that has the
    package at all, which is another answer with a private index beside PyPI. Hence ``unsafe-best-match``.
    """
    default = options.index_url or pip.get("index-url", "").strip()
    extra = [*options.extra_index_urls, *pip.get("extra-index-url", "").split()]
    links = [*options.find_links, *pip.get("find-links", "").split()]
    trusted = [*options.trusted_hosts, *pip.get("trusted-host", "").split()]
    variables = {}
    if default:
        variables["UV_DEFAULT_INDEX"] = default
    if extra:
        variables["UV_INDEX"] = " ".join(extra)
    if default or extra:
        variables["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    if links:
        variables["UV_FIND_LINKS"] = ",".join(links)
    if trusted:
        variables["UV_INSECURE_HOST"] = " ".join(trusted)
    if (cert := pip.get("cert", "").strip()) and not os.environ.get("SSL_CERT_FILE"):
        variables["SSL_CERT_FILE"] = cert
    if proxy := pip.get("proxy", "").strip():
        variables |= {"HTTPS_PROXY": proxy, "HTTP_PROXY": proxy}
    arguments = []
    if options.no_index or _truth(pip.get("no-index", "")):
        arguments.append("--no-index")
    if options.pre or _truth(pip.get("pre", "")):
        arguments.append("--prerelease=allow")
    return IndexSettings(variables, tuple(arguments))


def pip_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Read pip's settings as ``pip install`` would see them: files first, then ``PIP_*`` variables.

    The order is pip's: for each section ``global`` then ``install``, the machine's file, the user's, the
    interpreter's, the one named by PIP_CONFIG_FILE; the variables last.
    """
    sections: dict[str, dict[str, str]] = {"global": {}, "install": {}}
    for file in _pip_files(environ):
        parser = configparser.RawConfigParser()
        try:
            parser.read(file, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError):
            continue  # pip itself would stop here; a resolver's own message is more to the point
        for name, found in sections.items():
            if parser.has_section(name):
                found |= {key.replace("_", "-"): value for key, value in parser.items(name)}
    variables = {
        name[4:].lower().replace("_", "-"): value
        for name, value in environ.items()
        if name.startswith("PIP_") and value
    }
    return sections["global"] | sections["install"] | variables


def _pip_files(environ: Mapping[str, str]) -> list[Path]:
    named = environ.get("PIP_CONFIG_FILE")
    if named == os.devnull:
        return []
    home = Path(environ.get("HOME") or Path.home())
    system = [
        Path(folder, "pip/pip.conf") for folder in (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":")
    ]
    files = [*reversed(system), Path("/etc/pip.conf")]
    if not (named and Path(named).exists()):
        files += [
            home / ".pip/pip.conf",
            Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "pip/pip.conf",
        ]
    files.append(Path(sys.prefix, "pip.conf"))
    return [*files, Path(named)] if named else files


def _truth(text: str) -> bool:
    return text.strip().lower() in {"1", "y", "yes", "t", "true", "on"}
