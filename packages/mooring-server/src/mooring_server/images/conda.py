"""From the Python section of an Azure environment to requirements that PyPI understands."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from mooring_server.domain.errors import InvalidRequest
from mooring_server.images.condanames import pypi_name
from mooring_server.images.environment import invalid, kind, section
from mooring_server.images.matchspec import MatchSpec, parse_match_spec
from mooring_server.images.pipoptions import PipOptions
from mooring_server.images.pythons import PythonRequest

# For `Requirements.exclude_newer`: the time of what wrote the models' pickles.
MODEL_DATE = "model"
_AZUREML = re.compile(r"azureml(-.*)?")


@dataclass(frozen=True)
class Requirements:
    """What to install.

    Attributes:
        packages: PEP 508 requirements in the order of the user.
        python: what the user asked of the interpreter, if anything.
        options: pip options from the environment's ``pip`` section.
        exclude_newer: RFC 3339 date or time; later uploads do not exist for the resolver. Or `MODEL_DATE`.
        conda: PyPI name -> conda name, for packages that were given as conda packages.
        channels: conda's, as written.
        changes: sentences telling what differs from what the user wrote and why.
    """

    packages: tuple[str, ...] = ()
    python: PythonRequest | None = None
    options: PipOptions = field(default_factory=PipOptions)
    exclude_newer: str | None = None
    conda: Mapping[str, str] = field(default_factory=dict)
    channels: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()


def read_environment(environment: Mapping[str, Any]) -> Requirements:
    """Read an environment's JSON.

    Raises:
        InvalidRequest: codes ``EnvironmentInvalid``, ``CondaDependencyInvalid``, ``RequirementInvalid``,
            ``RequirementUnsupported``, ``PipOptionUnsupported``.
    """
    python = section(environment, "python")
    if python.get("userManagedDependencies"):
        change = "python.userManagedDependencies is set: no packages are installed."
        return Requirements(changes=(change,) if python.get("condaDependencies") else ())
    reader = _Reader()
    reader.read(_conda_file(python.get("condaDependencies")))
    return reader.requirements(_exclude_newer(environment))


def _conda_file(value: object) -> Mapping[str, Any]:
    if isinstance(value, str):
        try:
            value = yaml.safe_load(value)
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise invalid(f"the conda dependencies are not YAML: {error}", "condaDependencies") from error
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise invalid(
            f"the conda dependencies must be a mapping with `channels` and `dependencies`, "
            f"but they are {kind(value)}.",
            "condaDependencies",
        )
    return value


def _exclude_newer(environment: Mapping[str, Any]) -> str | None:
    value = environment.get("excludeNewer")
    if value is None or value == "":
        return None
    if value == MODEL_DATE:
        return MODEL_DATE
    if not isinstance(value, str) or not re.fullmatch(
        r"\d{4}-\d\d-\d\d([T ][0-9:.]+(Z|[+-]\d\d:\d\d)?)?", value
    ):
        raise invalid(
            f"`excludeNewer` must be a date like 2019-06-01, or {MODEL_DATE}, not {value!r}.", "excludeNewer"
        )
    return value


class _Reader:
    """Collects requirements and the sentences about them."""

    def __init__(self) -> None:
        self.packages: dict[str, str] = {}
        self.conda: dict[str, str] = {}
        self.python: PythonRequest | None = None
        self.options = PipOptions()
        self.same_names: list[str] = []
        self.not_python: list[str] = []
        self.azureml: list[str] = []
        self.changes: list[str] = []
        self.channels: list[str] = []

    def read(self, file: Mapping[str, Any]) -> None:
        self.channels = [str(c) for c in _list(file.get("channels"), "channels") if c != "nodefaults"]
        pip: list[Any] = []
        for item in _list(file.get("dependencies"), "dependencies"):
            if isinstance(item, str):
                self._conda(item)
            elif isinstance(item, Mapping) and set(item) == {"pip"}:
                pip += _list(item["pip"], "dependencies: pip")
            else:
                raise invalid(
                    f"an entry of `dependencies` must be a package or a `pip` list, but {item!r} came.",
                    "dependencies",
                )
        for item in pip:
            if not isinstance(item, str):
                raise invalid(f"an entry of `pip` must be a string, but {item!r} came.", "dependencies: pip")
            for line in item.splitlines():
                self._pip(re.sub(r"(^|\s)#.*", "", line).strip())

    def _conda(self, text: str) -> None:
        spec = parse_match_spec(text)
        name = canonicalize_name(spec.name)
        if name == "python":
            self.python = PythonRequest.parse(spec.written_version, text)
            return
        if name == "pip":
            if spec.written_version:
                self.changes.append(f"{text} is not installed: packages are installed by uv.")
            return
        if _AZUREML.fullmatch(name):
            self.azureml.append(text)
            return
        target = pypi_name(spec.name)
        if target is None:
            self.not_python.append(spec.name)
            return
        self._add(target, f"{target}{spec.specifier()}", text)
        self.conda[canonicalize_name(target)] = spec.name
        if canonicalize_name(target) == name:
            self.same_names.append(spec.name)
        else:
            self.changes.append(f"The conda package {spec.name} is installed as {target} from PyPI.")
        self._dropped(spec, text)

    def _dropped(self, spec: MatchSpec, text: str) -> None:
        if spec.build:
            self.changes.append(
                f"The build {spec.build} of {text} is not asked for: PyPI has no conda builds."
            )

    def _pip(self, text: str) -> None:
        if not text:
            return
        if text.startswith("-"):
            self.options = self.options.with_option(text)
            return
        try:
            requirement = Requirement(text)
        except InvalidRequirement as error:
            raise _bad_requirement(text, error) from error
        name = canonicalize_name(requirement.name)
        if _AZUREML.fullmatch(name):
            self.azureml.append(text)
            return
        if requirement.url is not None:
            _check_url(requirement)
        if name in self.conda:
            del self.conda[name]
            # pip runs after conda and replaces what conda has installed.
            self.changes.append(
                f"{text} (pip) takes the place of the conda package {self.packages.pop(name)}."
            )
        self._add(name, str(requirement), text)

    def _add(self, name: str, requirement: str, text: str) -> None:
        key: str = canonicalize_name(name)
        if key in self.packages and self.packages[key] != requirement:
            # Both are given to the resolver, which has the better words if they contradict each other.
            key = f"{key} {text}"
        self.packages[key] = requirement

    def requirements(self, exclude_newer: str | None) -> Requirements:
        changes = list(self.changes)
        if self.azureml:
            changes.insert(
                0, f"Not installed, since Mooring's own runtime takes their place: {', '.join(self.azureml)}."
            )
        if self.same_names:
            channels = f"; the channels {', '.join(self.channels)} are not read" if self.channels else ""
            changes.append(
                "Conda packages are installed from PyPI under the same name: "
                f"{', '.join(self.same_names)}{channels}."
            )
        if self.not_python:
            changes.append(
                f"Not installed, since they are no Python packages: {', '.join(self.not_python)}; "
                "wheels bring the libraries they need."
            )
        return Requirements(
            tuple(self.packages.values()),
            self.python,
            self.options,
            exclude_newer,
            dict(self.conda),
            tuple(self.channels),
            tuple(changes),
        )


def _list(value: object, name: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list | tuple):
        raise invalid(f"`{name}` must be a list, but it is {kind(value)}.", name)
    return list(value)


def _bad_requirement(text: str, error: InvalidRequirement) -> InvalidRequest:
    shown = text.rpartition("@")[2][:200] if "://" in text else text[:200]
    if re.match(r"(git|hg|svn|bzr)\+|https?://|file:|\.{0,2}/|.*\.(whl|zip|tar\.gz)\Z", text):
        return _unsupported(shown, "it names no package of an index")
    return InvalidRequest(
        "RequirementInvalid",
        f"The pip requirement {shown!r} cannot be read: {str(error).splitlines()[0]}.",
        hint="Write it like `name==1.2.3`.",
        phase="Resolve",
        target=shown,
    )


def _check_url(requirement: Requirement) -> None:
    url = requirement.url or ""
    shown = f"{requirement.name} @ ..."
    if not re.match(r"https?://", url) or not url.partition("#")[0].endswith(".whl"):
        raise _unsupported(
            shown, "only a wheel can be installed from an address (https://.../x-1.0-py3-none-any.whl)"
        )
    if "@" in url.split("/")[2]:
        # It would be written into the lock, which everybody who may read the image may read.
        raise _unsupported(shown, "its address contains credentials")


def _unsupported(shown: str, why: str) -> InvalidRequest:
    return InvalidRequest(
        "RequirementUnsupported",
        f"The pip requirement {shown!r} cannot be installed: {why}.",
        hint="Put a wheel of it into an index or into a directory named by --find-links; require it by name.",
        phase="Resolve",
        target=shown,
    )
