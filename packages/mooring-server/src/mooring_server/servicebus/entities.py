"""What the server tells the broker: namespaces, queues, authorization rules."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from mooring_server.domain.servicebus import QueueSettings


@dataclass(frozen=True)
class Rule:
    """Who knows one of its keys has its rights.

    Attributes:
        queue: the key (lower case) of the queue it is for; empty for the whole namespace.
        keys: primary and secondary.
    """

    name: str
    queue: str
    rights: tuple[str, ...]
    keys: tuple[str, str]


@dataclass(frozen=True)
class Queue:
    """A queue; messages are kept under its uid, so that a later queue of its name does not get them."""

    uid: str
    name: str
    settings: QueueSettings

    @property
    def key(self) -> str:
        """As names are compared: Azure ignores case."""
        return self.name.lower()


@dataclass(frozen=True)
class Namespace:
    """A namespace by its key, with what is in it."""

    name: str
    queues: tuple[Queue, ...]
    rules: tuple[Rule, ...]


@dataclass(frozen=True)
class Entities:
    """All namespaces."""

    namespaces: tuple[Namespace, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """For the pipe to the broker."""
        data: dict[str, Any] = asdict(self)
        return data

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Entities:
        """The inverse of `to_json`."""
        return cls(
            tuple(
                Namespace(
                    namespace["name"],
                    tuple(
                        Queue(q["uid"], q["name"], QueueSettings(**q["settings"]))
                        for q in namespace["queues"]
                    ),
                    tuple(
                        Rule(r["name"], r["queue"], tuple(r["rights"]), (r["keys"][0], r["keys"][1]))
                        for r in namespace["rules"]
                    ),
                )
                for namespace in data["namespaces"]
            )
        )
