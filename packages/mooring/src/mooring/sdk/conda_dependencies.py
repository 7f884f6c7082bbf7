"""CondaDependencies: a conda environment file as an object.

Decision: `create` without ``python_version`` writes no Python version. Azure writes the one its default image
happens to have, which makes old models unloadable when that changes; without one, the server chooses the
Python for
which the packages have wheels and says which. `PYTHON_DEFAULT_VERSION` is therefore None.
``pin_sdk_version`` is
accepted: packages named ``azureml-*`` are replaced by Mooring's own runtime in the image, so nothing
is left to pin.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mooring.sdk.errors import user_error
from mooring.sdk.types import JSON, Strings

PYTHON_DEFAULT_VERSION: str | None = None
DEFAULT_SDK_ORIGIN = "https://pypi.python.org/simple"
CPU = "cpu"
GPU = "gpu"
DEFAULT_CHANNELS = ("anaconda", "conda-forge")
DEFAULT_PIP = ("azureml-defaults",)
_HEADER = "# Conda environment specification. Packages named azureml-* are provided by Mooring.\n"
_NAME = re.compile(r"^\s*(?:[\w.-]+::)?([A-Za-z0-9][\w.-]*)")


class CondaDependencies:
    """Channels, conda packages and pip packages.

    Args:
        conda_dependencies_file_path: read this YAML file; without one, a minimal environment.
    """

    DEFAULT_NUMBER_OF_CONDA_PACKAGES = 0
    DEFAULT_NUMBER_OF_PIP_PACKAGES = len(DEFAULT_PIP)

    def __init__(
        self, conda_dependencies_file_path: str | None = None, _underlying_structure: JSON | None = None
    ) -> None:
        if conda_dependencies_file_path:
            self._data = _load(Path(conda_dependencies_file_path))
        elif _underlying_structure is not None:
            self._data = copy.deepcopy(_underlying_structure)
        else:
            self._data = {
                "name": "project_environment",
                "channels": [*DEFAULT_CHANNELS],
                "dependencies": [{"pip": [*DEFAULT_PIP]}],
            }
        if not isinstance(self._data.get("dependencies"), list):
            self._data["dependencies"] = []

    @staticmethod
    def create(
        pip_indexurl: str | None = None,
        pip_packages: Iterable[str] | None = None,
        conda_packages: Iterable[str] | None = None,
        python_version: str | None = PYTHON_DEFAULT_VERSION,
        pin_sdk_version: bool = True,  # noqa: ARG004 - see the module's decision
    ) -> CondaDependencies:
        """A new environment.

        Args:
            pip_indexurl: index to install from.
            pip_packages: as pip takes them; ``azureml-defaults`` is there anyway.
            conda_packages: as conda takes them.
            python_version: ``3.8``; None lets the server choose.
            pin_sdk_version: accepted and without effect.
        """
        made = CondaDependencies()
        if python_version:
            made.set_python_version(python_version)
        if pip_indexurl:
            made.set_pip_index_url(pip_indexurl)
        for package in _strings("conda_packages", conda_packages):
            made.add_conda_package(package)
        for package in _strings("pip_packages", pip_packages):
            made.add_pip_package(package)
        return made

    # Channels

    @property
    def conda_channels(self) -> Any:
        """An iterator over the channels."""
        return iter(self._data.get("channels") or [])

    def add_channel(self, channel: str) -> None:
        """Add a channel at the end, once."""
        channels = self._data.setdefault("channels", [])
        if channel not in channels:
            channels.append(channel)

    def remove_channel(self, channel: str) -> None:
        """Remove a channel if it is there."""
        if channel in self._data.get("channels", []):
            self._data["channels"].remove(channel)

    # Conda packages

    @property
    def conda_packages(self) -> Any:
        """An iterator over the conda packages, Python among them if a version is set."""
        return iter([item for item in self._data["dependencies"] if isinstance(item, str)])

    def add_conda_package(self, conda_package: str) -> None:
        """Add a package, or replace the line of the same name."""
        _replace(self._data["dependencies"], conda_package)

    def remove_conda_package(self, conda_package: str) -> None:
        """Remove the package of that name if it is there."""
        _remove(self._data["dependencies"], conda_package)

    def set_python_version(self, version: str) -> None:
        """Ask for a Python version, as in ``3.8``."""
        self.add_conda_package(f"python={version}")

    def get_python_version(self) -> str | None:
        """The Python version asked for, or None."""
        for item in self.conda_packages:
            if _name(item) == "python":
                return str(item).partition("=")[2].lstrip("=").strip() or None
        return None

    # Pip packages and options

    @property
    def pip_packages(self) -> Any:
        """An iterator over the pip packages."""
        return iter([item for item in self._pip() if not item.startswith("-")])

    @property
    def pip_options(self) -> Any:
        """An iterator over pip's options, as in ``--extra-index-url ...``."""
        return iter([item for item in self._pip() if item.startswith("-")])

    def add_pip_package(self, pip_package: str) -> None:
        """Add a package, or replace the line of the same name."""
        _replace(self._pip(create=True), pip_package)

    def remove_pip_package(self, pip_package: str) -> None:
        """Remove the package of that name if it is there."""
        _remove(self._pip(), pip_package)

    def set_pip_requirements(self, pip_requirements: Iterable[str]) -> None:
        """Replace all pip packages; options stay."""
        options = list(self.pip_options)
        self._pip(create=True)[:] = [*options, *_strings("pip_requirements", pip_requirements)]

    def merge_requirements(self, requirements: Iterable[str]) -> None:
        """Add packages that are not there yet; those that are keep their version."""
        present = {_name(item) for item in self.pip_packages}
        for package in _strings("requirements", requirements):
            if _name(package) not in present:
                self.add_pip_package(package)

    def set_pip_option(self, pip_option: str) -> None:
        """Set an option, replacing the one of the same name."""
        self.remove_pip_option(pip_option.split(maxsplit=1)[0])
        self._pip(create=True).insert(0, pip_option)

    def remove_pip_option(self, pip_option: str) -> None:
        """Remove an option by its name, as in ``--index-url``."""
        pip = self._pip()
        pip[:] = [item for item in pip if re.split(r"[\s=]", item, maxsplit=1)[0] != pip_option]

    def set_pip_index_url(self, index_url: str) -> None:
        """Install from this index instead of PyPI."""
        self.set_pip_option(f"--index-url {index_url}")

    @staticmethod
    def sdk_origin_url() -> str:
        """The index that Azure's SDK comes from."""
        return DEFAULT_SDK_ORIGIN

    def get_default_number_of_packages(self) -> int:
        """How many packages a new object has."""
        return self.DEFAULT_NUMBER_OF_CONDA_PACKAGES + self.DEFAULT_NUMBER_OF_PIP_PACKAGES

    # Frameworks

    def add_tensorflow_conda_package(self, core_type: str = CPU, version: str | None = None) -> None:
        """Add TensorFlow from conda, for CPU or GPU."""
        name = "tensorflow" if core_type == CPU else "tensorflow-gpu"
        self.add_conda_package(f"{name}={version}" if version else name)

    def add_tensorflow_pip_package(self, core_type: str = CPU, version: str | None = None) -> None:
        """Add TensorFlow from pip, for CPU or GPU."""
        name = "tensorflow" if core_type == CPU else "tensorflow-gpu"
        self.add_pip_package(f"{name}=={version}" if version else name)

    def add_cntk_package(self, core_type: str = CPU) -> None:
        """Add CNTK, for CPU or GPU."""
        self.add_pip_package("cntk" if core_type == CPU else "cntk-gpu")

    # Files

    def as_dict(self) -> JSON:
        """The environment as a dictionary: ``{name, channels, dependencies}``."""
        return copy.deepcopy(self._data)

    def serialize_to_string(self) -> str:
        """The environment as YAML."""
        import yaml

        return _HEADER + str(yaml.safe_dump(self._data, default_flow_style=False, sort_keys=False))

    def save(self, path: str | None = None) -> str:
        """Write the YAML.

        Args:
            path: a file, or a directory for ``conda_dependencies.yml`` in it; None is the current directory.

        Returns:
            Where it is.
        """
        target = Path(path) if path else Path("conda_dependencies.yml")
        if target.is_dir():
            target /= "conda_dependencies.yml"
        target.write_text(self.serialize_to_string(), encoding="utf-8")
        return str(target)

    def save_to_file(self, base_directory: str, conda_file_path: str | None = None) -> str:
        """Write the YAML below a directory.

        Returns:
            The path relative to it.
        """
        relative = conda_file_path or "conda_dependencies.yml"
        target = Path(base_directory) / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        self.save(str(target))
        return relative

    def _pip(self, *, create: bool = False) -> Strings:
        for item in self._data["dependencies"]:
            if isinstance(item, dict) and "pip" in item:
                item["pip"] = item["pip"] or []
                found: Strings = item["pip"]
                return found
        made: Strings = []
        if create:
            self._data["dependencies"].append({"pip": made})
        return made


def _load(path: Path) -> JSON:
    import yaml

    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise user_error(
            f"The conda file {path} does not exist (looked in {Path.cwd()}).",
            code="CondaFileNotFound",
            hint="Correct the path; it is relative to the current directory.",
        ) from error
    except yaml.YAMLError as error:
        raise user_error(
            f"The conda file {path} is not valid YAML.",
            code="CondaFileInvalid",
            hint="Correct the line that the evidence shows; `conda env export` writes such files.",
            evidence={"source": str(error)},
        ) from error
    except (OSError, UnicodeError) as error:
        raise user_error(
            f"The conda file {path} cannot be read: {error}.",
            code="CondaFileInvalid",
            hint="It has to be a text file in UTF-8.",
        ) from error
    if not isinstance(data, dict):
        raise user_error(
            f"The conda file {path} holds no mapping with 'dependencies', but {type(data).__name__}.",
            code="CondaFileInvalid",
            hint="It begins like this:\nname: myenv\ndependencies:\n- python=3.11\n- pip:\n  - scikit-learn",
        )
    return data


def _name(line: str) -> str:
    match = _NAME.match(line)
    return re.sub(r"[-_.]+", "-", match[1]).lower() if match else line.strip()


def _replace(lines: list[Any], line: str) -> None:
    for index, item in enumerate(lines):
        if isinstance(item, str) and not item.startswith("-") and _name(item) == _name(line):
            lines[index] = line
            return
    lines.append(line)


def _remove(lines: list[Any], line: str) -> None:
    lines[:] = [item for item in lines if not isinstance(item, str) or _name(item) != _name(line)]


def _strings(name: str, values: Iterable[str] | None) -> Iterable[str]:
    if isinstance(values, str):
        raise user_error(f"{name} is the text {values!r}; a list of texts was expected.", code="InvalidType")
    return values or ()
