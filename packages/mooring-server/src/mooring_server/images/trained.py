"""What wrote the models' pickles, and whether the environment has it.

A scikit-learn pickle is for the version that wrote it: another one warns at best, fails at worst, and in between gives
other results. Within a minor version (1.4.1, 1.4.2) pickles stay readable.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from mooring_server.domain.errors import PhaseFailed
from mooring_server.images.conda import MODEL_DATE, Requirements
from mooring_server.images.known import current_until
from mooring_server.images.locks import Lock
from mooring_server.images.types import ModelTree

PACKAGE = "scikit-learn"


def with_trained_version(requirements: Requirements, models: Sequence[ModelTree]) -> Requirements:
    """The requirements with the pickles' version, where the user has left it open.

    From there on everything is as if the user had pinned it: the Python is chosen for which wheels exist.
    """
    written = {_version(text): path for path, text in _written(models)}
    version = next(iter(written)) if len(written) == 1 else None
    # Development versions are in no index.
    if version is None or version.is_prerelease or version.local:
        return requirements
    packages = list(requirements.packages)
    for index, line in enumerate(packages):
        requirement = Requirement(line)
        if canonicalize_name(requirement.name) != PACKAGE or requirement.url or "==" in line:
            continue
        if requirement.specifier.contains(version):
            extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
            marker = f"; {requirement.marker}" if requirement.marker else ""
            packages[index] = f"{PACKAGE}{extras}=={version}{marker}"
            change = (
                f"{packages[index]} is installed for {line}, since {written[version]} was written with it."
            )
            return replace(requirements, packages=tuple(packages), changes=(*requirements.changes, change))
    return requirements


def with_model_date(requirements: Requirements, models: Sequence[ModelTree]) -> Requirements:
    """The requirements with a date for `MODEL_DATE`: while what wrote the newest pickle was current.

    The last day of that time, not the first: wheels for a new Python and corrections came in it.

    Raises:
        PhaseFailed: code ``ModelDateUnknown``.
    """
    if requirements.exclude_newer != MODEL_DATE:
        return requirements
    versions = {version: path for path, text in _written(models) if (version := _version(text))}
    newest = max(versions, default=None)
    if newest is None:
        raise PhaseFailed(
            "ModelDateUnknown",
            f"The environment says excludeNewer: {MODEL_DATE}, but no model has a pickle of which the {PACKAGE} that "
            "wrote it is known.",
            hint="Write a date: 2019-06-01.",
            phase="Resolve",
            target="excludeNewer",
        )
    until = current_until(newest)
    known = f"current until {until}: packages are taken as they were then"
    told = known if until else "followed by no other that Mooring knows: packages are taken as they are now"
    change = f"{versions[newest]} was written with {PACKAGE} {newest}, which was {told}."
    return replace(requirements, exclude_newer=until, changes=(*requirements.changes, change))


def check_trained(lock: Lock, models: Sequence[ModelTree]) -> None:
    """Refuse an environment that cannot read the pickles.

    Raises:
        PhaseFailed: code ``PickleVersionMismatch``.
    """
    locked = next((pin.shown_version for pin in lock.pins if pin.name == PACKAGE), None)
    has = _version(locked) if locked else None
    if has is None:
        return
    written = [(path, version) for path, text in _written(models) if (version := _version(text))]
    for path, version in written:
        if version.release[:2] == has.release[:2]:
            continue
        different = {other.release[:2] for _, other in written}
        hint = (
            "The models were written with different versions, which do not fit into one image: deploy them as "
            "several services, or write them anew with one version."
            if len(different) > 1
            else f"Write {PACKAGE}=={version} into the environment. If there are no wheels of it for the Python that "
            "you ask for, leave `python` out: one that has them is taken, if this machine has it."
        )
        raise PhaseFailed(
            "PickleVersionMismatch",
            f"{path} was written with {PACKAGE} {version}, but the environment has {PACKAGE} {has}, which cannot "
            "be relied on to read it.",
            hint=hint,
            phase="Resolve",
            target=f"{PACKAGE}=={version}",
            evidence={"written": "\n".join(f"{where}: {PACKAGE} {other}" for where, other in written[:200])},
        )


def _written(models: Sequence[ModelTree]) -> list[tuple[str, str]]:
    """Where pickles lie, in words, and the version that wrote them."""
    return [
        (f"{path} of model {model.name}:{model.version}", version)
        for model in models
        for path, version in model.written_with
    ]


def _version(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None
