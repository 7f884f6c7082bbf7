"""Builds the default base from Debian's packages, by mmdebstrap: no registry, no container engine, no scripts run.

Packages are only extracted (mmdebstrap's variant ``extract``). What has no use in a service is left out: there is no
shell, no package manager, no documentation. The same packages give the same bytes.
"""

from __future__ import annotations

import posixpath
import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

from mooring_server.domain.errors import PhaseFailed
from mooring_server.images import bytecode
from mooring_server.images.bases.base import Base, own_architecture, store_base
from mooring_server.images.bases.facts import look
from mooring_server.images.layers import EPOCH, Directory, Entry, Symlink, write_layer
from mooring_server.images.pythons import Pythons, clean_environment
from mooring_server.images.scratch import Scratch
from mooring_server.store.content import ContentStore, disk_full, nothing_free

SUITE = "bookworm"
PYTHON = (3, 11)  # what that suite has
NAME = "debian12-python3.11"
_PACKAGES = ("python3.11", "libgomp1", "libstdc++6", "ca-certificates", "tzdata")
# Packages that others depend on by their scripts or programs, which are not run and not kept.
_UNUSED = {"debconf", "dpkg", "openssl", "tar", "perl-base", "cdebconf"}
_USELESS = re.compile(
    r"s?bin/.*|dev/.*|etc/(?!ssl/|ld\.so|python|mime|netconfig|nsswitch|services|protocols).*"
    r"|usr/s?bin/(?!python3).*|usr/(libexec|games|include)/.*"
    r"|usr/lib/(locale/(?!C\.utf8).*|dpkg/.*|mime/.*|valgrind/.*|binfmt\.d/.*|tmpfiles\.d/.*)"
    r"|usr/lib/[^/]*-linux-gnu[^/]*/(gconv|perl|perl-base|audit)/.*"
    r"|usr/lib/python3\.\d+/(pydoc_data|lib2to3|idlelib|turtledemo|ensurepip|tkinter|test)/.*"
    r"|usr/lib/python3\.\d+/lib-dynload/_(test|ctypes_test|xxtest).*"
    r"|usr/share/(?!zoneinfo|ca-certificates|python).*|usr/share/doc-base/.*|usr/share/python3?/.*"
    r"|lib/(systemd|udev)/.*|var/.*"
)
_KEPT = re.compile(r"usr/share/doc/[^/]+/copyright")
_AUTHORITY = re.compile(r"usr/share/ca-certificates/mozilla/[^/]+\.crt")
_DOCUMENTED = "var/lib/dpkg/status"
_USERS = b"root:x:0:0:root:/root:/sbin/nologin\nmooring:x:10001:10001:mooring:/tmp:/sbin/nologin\n"
_GROUPS = b"root:x:0:\nmooring:x:10001:\n"
# The hook writes what the packages say of themselves, since nothing is installed that would keep it.
_HOOK = 'for deb in "$1"/var/cache/apt/archives/*.deb; do dpkg-deb --field "$deb" {}; echo; done > "{}"'
_FIELDS = ("Package", "Version", "Architecture", "Maintainer", "Source")

Log = Callable[[str], None]


class BaseBuilder:
    """Builds the default base."""

    def __init__(self, store: ContentStore, scratch: Scratch) -> None:
        self._store = store
        self._scratch = scratch
        self._pythons = Pythons()

    def build(self, log: Log, mirror: str | None = None) -> Base:
        """Build it; about half a minute, most of it for Debian's index and packages.

        Args:
            log: takes lines that tell how it goes.
            mirror: of Debian's packages, ``http://`` or ``copy:///folder``; else the one mmdebstrap knows.

        Raises:
            PhaseFailed: codes ``ToolMissing``, ``BaseNotBuilt``.
            MooringError: code ``DiskFull``.
        """
        with self._scratch.directory() as folder:
            archive = folder / "root.tar"
            status = folder / "status"
            _mmdebstrap(folder, archive, status, mirror, log)
            entries = self._entries(archive, folder / "stage", log)
            entries.append(Entry(_DOCUMENTED, _status(status.read_text(encoding="utf-8"))))
            layer = write_layer(self._store, entries, "base", NAME)
        config = {
            "architecture": own_architecture(),
            "os": "linux",
            # No user: images upon it have their own, and the steps of a Dockerfile expect to be root.
            "config": {"Env": ["PATH=/usr/local/bin:/usr/bin:/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id]},
            "history": [{"created": "1980-01-01T00:00:00Z", "created_by": "mooring base build"}],
        }
        descriptor = {"mediaType": layer.media_type, "digest": layer.digest, "size": layer.size}
        digest = store_base(self._store, {"layers": [descriptor]}, config)
        facts = look([self._store.path(layer.digest)])
        return Base(digest, NAME, own_architecture(), layer.size, facts)

    def _entries(self, archive: Path, stage: Path, log: Log) -> list[Entry]:
        """What of the extracted packages goes into the base."""
        entries: dict[str, Entry] = {}
        authorities: dict[str, bytes] = {}
        with tarfile.open(archive) as root:
            for member in root:
                name = posixpath.normpath(member.name)
                content = root.extractfile(member) if member.isreg() or member.islnk() else None
                if content is not None and _AUTHORITY.fullmatch(name):
                    authorities[name] = content.read()
                elif _USELESS.fullmatch(name) and not _KEPT.fullmatch(name):
                    continue
                elif content is not None:
                    path = stage / name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    with path.open("wb") as file:
                        shutil.copyfileobj(content, file)
                    entries[name] = Entry(name, path, executable=bool(member.mode & 0o100))
                elif member.issym():
                    entries[name] = Entry(name, Symlink(member.linkname))
        bundle = b"".join(authorities[name] for name in sorted(authorities))
        made = [
            Entry("etc/ssl/certs/ca-certificates.crt", bundle),
            Entry("etc/passwd", _USERS),
            Entry("etc/group", _GROUPS),
            Entry("usr/bin/python3", Symlink(f"python{PYTHON[0]}.{PYTHON[1]}")),
            *(
                Entry(name, Directory())
                for name in ("proc", "sys", "dev", "run", "root", "home", "var/azureml-app")
            ),
            *(Entry(name, Directory(0o1777)) for name in ("tmp", "var/tmp")),
        ]
        return [*entries.values(), *self._compiled(stage, log), *made]

    def _compiled(self, stage: Path, log: Log) -> list[Entry]:
        """The standard library's bytecode, which Debian's scripts would make."""
        python = self._pythons.find(PYTHON)
        library = f"usr/lib/python{PYTHON[0]}.{PYTHON[1]}"
        if python is None:
            log(f"This machine has no Python {PYTHON[0]}.{PYTHON[1]} to compile the standard library with.")
            return []
        names = sorted(
            path.relative_to(stage).as_posix()
            for path in (stage / library).rglob("*.py")
            if path.is_file() and "config-" not in path.as_posix()
        )
        bytecode.compile_all(python, [bytecode.Sources(stage, tuple(names))], "")
        compiled = (bytecode.cache_name(python, name) for name in names)
        return [Entry(name, stage / name) for name in compiled if (stage / name).is_file()]


def _mmdebstrap(folder: Path, archive: Path, status: Path, mirror: str | None, log: Log) -> None:
    program = shutil.which("mmdebstrap")
    if program is None:
        raise PhaseFailed(
            "ToolMissing",
            "mmdebstrap is not installed; it builds the base image from Debian's packages.",
            hint="Install it (Debian, Ubuntu: apt-get install mmdebstrap), or bring a base image from elsewhere: "
            "mooring base import, mooring base pull",
            phase="Build",
            target="mmdebstrap",
        )
    hook = _HOOK.format(" ".join(_FIELDS), status)
    command = [
        *(program, "--variant=extract", f"--include={','.join(_PACKAGES)}"),
        *(f"--extract-hook={hook}", SUITE, str(archive)),
        *([mirror] if mirror else []),
    ]
    log(f"Extracting {', '.join(_PACKAGES)} and what they need from Debian {SUITE}.")
    run = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        cwd=folder,
        env={**clean_environment(), "TMPDIR": str(folder), "SOURCE_DATE_EPOCH": str(EPOCH)},
        check=False,
    )
    if run.returncode:
        if "No space left on device" in run.stderr or nothing_free(folder):
            raise disk_full(OSError(28, ""), folder, 1, phase="Build") or OSError(28, "")
        raise PhaseFailed(
            "BaseNotBuilt",
            f"mmdebstrap ended with status {run.returncode}: {_cause(run.stderr)}",
            hint="It needs Debian's packages: check the network, or name a mirror with --mirror. Without root it "
            "needs newuidmap (package uidmap) and a range in /etc/subuid.",
            phase="Build",
            target="mmdebstrap",
            evidence={"log": run.stderr[-8000:]},
        )


def _status(text: str) -> bytes:
    """The packages in dpkg's form, which scanners for known faults read."""
    packages = {}
    for paragraph in text.strip().split("\n\n"):
        fields = dict(line.partition(": ")[::2] for line in paragraph.splitlines() if ": " in line)
        if fields.get("Package") not in _UNUSED | {None}:
            packages[fields["Package"]] = fields
    paragraphs = []
    for name in sorted(packages):
        lines = [f"{field}: {packages[name][field]}" for field in _FIELDS if field in packages[name]]
        paragraphs.append("\n".join([lines[0], "Status: install ok installed", *lines[1:]]))
    return ("\n\n".join(paragraphs) + "\n").encode()


def _cause(errors: str) -> str:
    causes = [line[3:] for line in errors.splitlines() if line.startswith("E: ")]
    return causes[-1] if causes else (errors.strip().splitlines() or ["see the log"])[-1]
