"""References to images in registries, as Docker reads them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mooring_server.domain.errors import InvalidRequest

DOCKER_HUB = "docker.io"
_NAME = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::\d{1,5})?")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class ImageReference:
    """``host/repository:tag@digest``; the digest counts where both are given."""

    host: str
    repository: str
    tag: str
    digest: str | None = None

    @property
    def wanted(self) -> str:
        """What is asked of the registry."""
        return self.digest or self.tag

    @classmethod
    def parse(cls, text: str, host: str = "") -> ImageReference:
        """Read what a user wrote.

        Args:
            text: as for ``docker pull``.
            host: of the registry, where it is given separately.

        Raises:
            InvalidRequest: code ``ImageReferenceInvalid``.
        """
        rest, _, digest = text.strip().partition("@")
        name, _, tag = rest.rpartition(":") if ":" in rest.rpartition("/")[2] else (rest, "", "latest")
        first, _, path = name.partition("/")
        if path and ("." in first or ":" in first or first == "localhost"):
            host, name = first, path
        host = host or DOCKER_HUB
        if host == DOCKER_HUB and "/" not in name:
            name = f"library/{name}"
        good = _HOST.fullmatch(host) and _NAME.fullmatch(name) and _TAG.fullmatch(tag)
        if not good or (digest and not _DIGEST.fullmatch(digest)):
            raise InvalidRequest(
                "ImageReferenceInvalid",
                f"{text[:200]!r} does not name an image.",
                hint="Write it as for docker pull: [host[:port]/]name[:tag][@sha256:...], in lower case.",
                phase="Resolve",
                target=text[:200],
            )
        return cls(host, name, tag, digest or None)

    def __str__(self) -> str:
        """As `parse` reads it."""
        return f"{self.host}/{self.repository}:{self.tag}" + (f"@{self.digest}" if self.digest else "")
