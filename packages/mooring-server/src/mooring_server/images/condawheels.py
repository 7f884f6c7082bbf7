"""Packages that exist only in conda, for uv: taken from the environment's channels, repacked as wheels."""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from mooring_server.domain.errors import InvalidRequest
from mooring_server.images.conda import Requirements
from mooring_server.images.condanames import pypi_name
from mooring_server.images.condapythons import channels_of, failures
from mooring_server.images.locks import key_of, read_json, write_json
from mooring_server.images.matchspec import parse_match_spec
from mooring_server.images.pythons import Python, show
from mooring_server.images.repack import Facts, NoWheel, repack
from mooring_server.images.scratch import KeyedLocks, Scratch
from mooring_server.images.uv import Log, redact

if TYPE_CHECKING:
    from rattler import RepoDataRecord

_DEADLINE_S = 300


class CondaWheels:
    """Makes wheels of packages that PyPI does not have; needs ``py-rattler``.

    Each lies in a directory of its own, named by what it was made of, that appears by one rename; uv finds it there by
    ``--find-links``. What the package depends on is looked for on PyPI first, as everything is. No script of a package
    is run.
    """

    def __init__(self, folder: Path, scratch: Scratch) -> None:
        self._folder = folder
        self._scratch = scratch
        self._busy = KeyedLocks()

    def known(self, requirements: Requirements) -> Requirements:
        """The requirements with what an earlier build found for them; no channel is asked."""
        found = read_json(self._known(requirements)) or {}
        links = found.get("links", ())
        if not links or not all(Path(link).is_dir() for link in links):
            return requirements
        return _with(requirements, links, found["conda"], found["changes"])

    def remember(self, requirements: Requirements, found: Requirements) -> None:
        """For the next build of the same environment, which may have no network."""
        links = found.options.find_links[len(requirements.options.find_links) :]
        changes = found.changes[len(requirements.changes) :]
        write_json(
            self._known(requirements), {"links": links, "conda": dict(found.conda), "changes": changes}
        )

    def _known(self, requirements: Requirements) -> Path:
        facts = (requirements.packages, str(requirements.python), requirements.channels)
        return self._folder / "known" / f"{key_of(facts, asdict(requirements.options))}.json"

    def provide(
        self, requirements: Requirements, names: Sequence[str], python: Python, log: Log
    ) -> Requirements | None:
        """The requirements, with a place where these packages are; None if the channels do not help.

        Args:
            requirements: of the environment.
            names: conda's, that PyPI does not have.
            python: that the packages are for.
            log: is told what was found, or why not.
        """
        channels = channels_of(requirements)
        if not channels:
            return None
        shown = redact(", ".join(channels))
        if importlib.util.find_spec("rattler") is None:
            log(
                f"PyPI does not have {', '.join(names)}; with py-rattler they would be taken from {shown}: "
                'pip install "mooring-server[conda]".'
            )
            return None
        log(f"PyPI does not have {', '.join(names)}: looking into the conda channels {shown}.")
        try:
            return self._all(requirements, names, channels, python)
        except asyncio.TimeoutError:
            log(f"The channels did not answer within {_DEADLINE_S} s.")
        except failures() as error:
            log(f"The channels did not help: {redact(str(error))}")
        except (NoWheel, InvalidRequest) as error:
            log(f"The channels did not help: {error}")
        return None

    def _all(
        self, requirements: Requirements, names: Sequence[str], channels: list[str], python: Python
    ) -> Requirements:
        places, changes, conda = [], [], dict(requirements.conda)
        for name in names:
            found = asyncio.run(asyncio.wait_for(_query(channels, name), _DEADLINE_S))
            record = _best(found, _wanted(requirements, name), python)
            if record is None:
                raise NoWheel(f"they have no {name} for Python {python.name}")
            needs, more = _needs(record)
            conda |= more
            facts = Facts(
                pypi_name(name) or name,
                str(Version(str(record.version))),
                needs,
                None if record.noarch.python else python.minor,
                python.platform.replace("-", "_").replace(".", "_"),
            )
            places.append(self._wheel(record, facts))
            origin = redact(str(record.channel or channels[0]))
            changes.append(f"{name} {record.version} is conda's, from {origin}: PyPI does not have it.")
        return _with(requirements, [str(place) for place in places], conda, changes)

    def _wheel(self, record: RepoDataRecord, facts: Facts) -> Path:
        place = (
            self._folder / f"{facts.stem}-{key_of((record.sha256 or b'').hex(), facts.needs, facts.tag)[:12]}"
        )
        # Two environments may need the same one at once.
        with self._busy.hold(place.name):
            if not place.is_dir():
                self._make(record, facts, place)
        return place

    def _make(self, record: RepoDataRecord, facts: Facts, place: Path) -> None:
        with self._scratch.directory() as folder:
            _unpack(record, folder / "package")
            (folder / "wheel").mkdir()
            repack(folder / "package", facts, folder / "wheel")
            self._folder.mkdir(parents=True, exist_ok=True)
            (folder / "wheel").rename(place)


def _with(
    requirements: Requirements, links: Sequence[str], conda: Mapping[str, str], changes: Sequence[str]
) -> Requirements:
    options = requirements.options
    more = tuple(link for link in links if link not in options.find_links)
    return replace(
        requirements,
        options=replace(options, find_links=(*options.find_links, *more)),
        conda=dict(conda),
        changes=(*requirements.changes, *changes),
    )


async def _query(channels: list[str], name: str) -> list[RepoDataRecord]:
    import rattler

    platforms = [rattler.Subdir.current(), rattler.Subdir("noarch")]
    found = await rattler.Gateway().query(channels, platforms, [name], recursive=False)
    return [record for group in found for record in group]


def _unpack(record: RepoDataRecord, target: Path) -> None:
    from rattler.package_streaming import extract

    parts = urlsplit(record.url)
    if parts.scheme != "file":
        asyncio.run(asyncio.wait_for(_download(record, target), _DEADLINE_S))
        return
    path = Path(unquote(parts.path))
    if record.sha256 and hashlib.sha256(path.read_bytes()).digest() != record.sha256:
        raise NoWheel(f"{path.name} is not what the channel's index says: its digest differs")
    extract(path, target)


async def _download(record: RepoDataRecord, target: Path) -> None:
    import rattler
    from rattler.package_streaming import download_and_extract

    await download_and_extract(rattler.Client(), record.url, target, record.sha256)


def _wanted(requirements: Requirements, name: str) -> SpecifierSet:
    """The versions that the environment asks for."""
    target = canonicalize_name(pypi_name(name) or name)
    found = [Requirement(line) for line in requirements.packages]
    return next((each.specifier for each in found if canonicalize_name(each.name) == target), SpecifierSet())


def _best(records: Iterable[RepoDataRecord], wanted: SpecifierSet, python: Python) -> RepoDataRecord | None:
    """The newest that fits, and of its builds the newest."""
    fitting = []
    for record in records:
        try:
            version = Version(str(record.version))
        except InvalidVersion:
            continue
        if wanted.contains(version, prereleases=True) and _runs_on(record, python):
            fitting.append(((version, record.build_number), record))
    return max(fitting, key=lambda each: each[0])[1] if fitting else None


def _runs_on(record: RepoDataRecord, python: Python) -> bool:
    for text in record.depends:
        spec = parse_match_spec(text)
        if spec.name == "python":
            return SpecifierSet(_released(spec.specifier())).contains(show(python.minor) + ".99")
        if spec.name == "python_abi":
            return spec.written_version.startswith(show(python.minor))
    return True


def _released(specifier: str) -> str:
    """Conda's ``<3.12.0a0`` means below 3.12."""
    return specifier.replace(".0a0", "")


def _needs(record: RepoDataRecord) -> tuple[tuple[str, ...], dict[str, str]]:
    """Its dependencies for PyPI, and conda's names of them."""
    lines: list[str] = []
    conda: dict[str, str] = {}
    for text in record.depends:
        spec = parse_match_spec(text)
        name = None if spec.name in {"python", "python_abi"} else pypi_name(spec.name)
        if name is not None:
            lines.append(f"{name}{_released(spec.specifier())}")
            conda[canonicalize_name(name)] = spec.name
    return tuple(lines), conda
