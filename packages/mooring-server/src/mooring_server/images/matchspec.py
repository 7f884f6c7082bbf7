"""Conda's way to name a package and its versions, translated into PEP 440."""

from __future__ import annotations

import re
from dataclasses import dataclass

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from mooring_server.domain.errors import InvalidRequest

_SPEC = re.compile(r"(?:[^\s:]+::)?(?P<name>[A-Za-z0-9_][A-Za-z0-9_.\-]*)\s*(?P<rest>.*)", re.DOTALL)
_PART = re.compile(r"(?P<op>==|>=|<=|!=|~=|=|>|<|)(?P<version>[^<>=!~]*)")
_BRACKET = re.compile(r"\[(?P<inside>[^\]]*)\]\s*\Z")
_BRACKET_VERSION = re.compile(r"""version\s*=\s*(['"]?)(?P<version>[^'"]*)\1""")


@dataclass(frozen=True)
class MatchSpec:
    """A parsed dependency.

    Attributes:
        name: as written.
        written_version: conda's version expression without the build; empty for any version.
        build: the build string that was asked for, or empty.
        text: all of it as written.
    """

    name: str
    written_version: str
    build: str
    text: str

    def specifier(self) -> str:
        """The same in PEP 440.

        Raises:
            InvalidRequest: code ``CondaDependencyInvalid``.
        """
        parts = [_pep440(part, self.text) for part in self.written_version.split(",")]
        joined = ",".join(part for part in parts if part)
        try:
            SpecifierSet(joined)
        except InvalidSpecifier as error:
            raise bad_spec(self.text, f"{self.written_version!r} is no version") from error
        return joined


def parse_match_spec(text: str) -> MatchSpec:
    """Take ``channel::name=1.2=build`` and its other spellings apart.

    Raises:
        InvalidRequest: code ``CondaDependencyInvalid``.
    """
    rest_text = text.strip()
    version = ""
    if bracket := _BRACKET.search(rest_text):
        rest_text = rest_text[: bracket.start()]
        if found := _BRACKET_VERSION.search(bracket["inside"]):
            version = found["version"]
    match = _SPEC.fullmatch(rest_text)
    if match is None:
        raise bad_spec(text, "it does not begin with a package's name")
    rest = re.sub(r"\s*,\s*", ",", match["rest"].strip())
    rest = re.sub(r"([<>=!~])\s+", r"\1", rest)
    rest, _, build = rest.partition(" ")
    if not build and (exact := re.fullmatch(r"(={1,2}[^=,]+)=([^=,]+)", rest)):
        # name=1.2=build: with a build the version is meant exactly.
        rest, build = "==" + exact[1].lstrip("="), exact[2]
    elif build and re.fullmatch(r"=?[0-9][^<>=!~,|]*", rest):
        rest = "==" + rest.lstrip("=")
    return MatchSpec(match["name"], rest or version, build.strip().strip("*"), text)


def _pep440(part: str, text: str) -> str:
    part = part.strip()
    if "|" in part:
        raise bad_spec(text, "alternatives (|) cannot be expressed for PyPI; name one range")
    match = _PART.fullmatch(part)
    if match is None:
        raise bad_spec(text, f"{part!r} is no version")
    operator, version = match["op"], match["version"].strip()
    if version in {"", "*"}:
        if operator and not version:
            raise bad_spec(text, f"a version is missing after {operator!r}")
        return ""
    wild = version.endswith("*")
    version = version.rstrip("*").rstrip(".")
    if operator in {"=", ""}:
        # conda's `=1.2` means 1.2 and everything below it; a bare `1.2` means exactly that.
        return f"=={version}.*" if operator == "=" or wild else f"=={version}"
    if operator in {"==", "!="} and wild:
        return f"{operator}{version}.*"
    return f"{operator}{version}"


def bad_spec(text: str, why: str) -> InvalidRequest:
    """The error for a conda dependency that cannot be read."""
    return InvalidRequest(
        "CondaDependencyInvalid",
        f"The conda dependency {text[:200]!r} cannot be read: {why}.",
        hint="Write it like `numpy=1.19.5` or `numpy>=1.19,<1.20`.",
        phase="Resolve",
        target=text[:200],
    )
