"""What a sandboxed worker may read: the system, its interpreter, its image."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

# The system's programs and libraries. Of /etc only what programs need: it has password hashes and keys too.
SYSTEM = tuple(
    map(
        Path,
        (
            "/usr",
            "/bin",
            "/sbin",
            "/lib",
            "/lib32",
            "/lib64",
            "/libx32",
            "/opt",
            "/nix/store",
            "/gnu/store",
            "/sys",
            "/etc/OpenCL",
            "/etc/alternatives",
            "/etc/ca-certificates",
            "/etc/crypto-policies",
            "/etc/debian_version",
            "/etc/fonts",
            "/etc/freetds",
            "/etc/gai.conf",
            "/etc/group",
            "/etc/host.conf",
            "/etc/hosts",
            "/etc/ld.so.cache",
            "/etc/ld.so.conf",
            "/etc/ld.so.conf.d",
            "/etc/ld.so.preload",
            "/etc/localtime",
            "/etc/mime.types",
            "/etc/nsswitch.conf",
            "/etc/odbc.ini",
            "/etc/odbcinst.ini",
            "/etc/os-release",
            "/etc/passwd",
            "/etc/pki/ca-trust",
            "/etc/pki/tls/cert.pem",
            "/etc/pki/tls/certs",
            "/etc/pki/tls/openssl.cnf",
            "/etc/protocols",
            "/etc/resolv.conf",
            "/etc/services",
            "/etc/ssl/cert.pem",
            "/etc/ssl/certs",
            "/etc/ssl/openssl.cnf",
            "/etc/timezone",
            "/run/systemd/resolve",
            "/var/cache/fontconfig",
            "/var/lib/ca-certificates",
        ),
    )
)
DEVICES = tuple(map(Path, ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty")))
# Accelerators, where there are any.
ACCELERATORS = ("nvidia*", "dri", "kfd", "accel", "davinci*", "habanalabs*", "hl*")
_MAX_LINKS = 40


def accelerators() -> list[Path]:
    """Devices for computing that this machine has."""
    return sorted({path for pattern in ACCELERATORS for path in Path("/dev").glob(pattern)})


def carve(path: Path, protected: Sequence[Path]) -> list[Path]:
    """``path``, or as much of it as leaves out what is protected.

    Rules can only add to what they allow, so a protected folder inside splits ``path`` into its siblings.
    """
    real = path.resolve()
    if any(real.is_relative_to(secret) for secret in protected):
        return []
    if not any(secret.is_relative_to(real) for secret in protected):
        return [path]
    try:
        children = sorted(path.iterdir())
    except OSError:
        return []
    return [part for child in children for part in carve(child, protected)]


def interpreter(python: Path, private: Sequence[Path]) -> list[Path]:
    """The folders an interpreter lives in: those of its links, its virtual environment and its base.

    Args:
        python: its path as it is run.
        private: folders that must not be given away, should the interpreter's prefix be one or hold one
            (``~/bin/python3``); then only its own parts are named.
    """
    found: list[Path] = []
    for hop in _links(python):
        prefix = hop.parent.parent if hop.parent.name in {"bin", "sbin"} else hop.parent
        found += _prefix(prefix, hop, private)
        for line in _lines(hop.parent.parent / "pyvenv.cfg"):
            key, _, value = line.partition("=")
            if key.strip() == "home" and value.strip():
                home = Path(value.strip())
                found += _prefix(home.parent, home / hop.name, private)
                found += _prefix(home.resolve().parent, home.resolve() / hop.name, private)
    return list(dict.fromkeys(found))


def _links(path: Path) -> Iterator[Path]:
    """``path``, each path its links lead over, and the real one."""
    for _ in range(_MAX_LINKS):
        yield path
        if not path.is_symlink():
            break
        path = Path(os.path.normpath(path.parent / os.readlink(path)))  # noqa: PTH115 - may be relative
    yield path.resolve()


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []


def _prefix(prefix: Path, python: Path, private: Sequence[Path]) -> list[Path]:
    real = prefix.resolve()
    if not any(secret.is_relative_to(real) for secret in private):
        return [prefix]
    parts = [python, *prefix.glob("lib*/python3*"), *prefix.glob("lib*/libpython3*")]
    return [part for part in parts if part.exists()]


def outermost(paths: Iterable[Path]) -> list[Path]:
    """The paths without those that lie below another of them; folders before what is in them."""
    kept: list[Path] = []
    for path in sorted(set(paths)):
        if not any(path.is_relative_to(other) for other in kept):
            kept.append(path)
    return kept
