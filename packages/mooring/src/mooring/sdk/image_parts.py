"""Parts of Azure's image JSON that scripts may read or build: assets and target runtimes."""

from __future__ import annotations

from mooring.sdk.types import JSON


class Asset:
    """A file of an image."""

    def __init__(self, id: str, mime_type: str, unpack: bool | None, url: str) -> None:  # noqa: A002
        self.id = id
        self.mime_type = mime_type
        self.unpack = unpack
        self.url = url

    def serialize(self) -> JSON:
        """``{id, mimeType, unpack, url}``."""
        return {"id": self.id, "mimeType": self.mime_type, "unpack": self.unpack, "url": self.url}

    @staticmethod
    def deserialize(payload_obj: JSON) -> Asset:
        """The inverse of `serialize`."""
        return Asset(
            payload_obj["id"], payload_obj["mimeType"], payload_obj.get("unpack"), payload_obj["url"]
        )


class TargetRuntime:
    """What an image is built for."""

    def __init__(self, properties: JSON, runtime_type: str, targetArchitecture: str) -> None:  # noqa: N803
        self.properties = properties
        self.runtime_type = runtime_type
        self.target_architecture = targetArchitecture

    def serialize(self) -> JSON:
        """``{properties, runtimeType, targetArchitecture}``."""
        return {
            "properties": self.properties,
            "runtimeType": self.runtime_type,
            "targetArchitecture": self.target_architecture,
        }

    @staticmethod
    def deserialize(payload_obj: JSON) -> TargetRuntime:
        """The inverse of `serialize`."""
        return TargetRuntime(
            payload_obj["properties"],
            payload_obj["runtimeType"],
            payload_obj.get("targetArchitecture", "amd64"),
        )
