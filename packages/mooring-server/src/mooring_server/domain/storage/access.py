"""What a request may do: everything with a key, what a shared access signature grants otherwise."""

from __future__ import annotations

from dataclasses import dataclass

from mooring_server.domain.storage.errors import StorageError


@dataclass(frozen=True)
class Need:
    """What an operation asks.

    Attributes:
        level: ``s`` for the service, ``c`` for a container or queue, ``o`` for a blob or message, as in ``srt``.
        any_of: one of these permissions of ``sp`` is enough.
        signed_by_service: the same for a service SAS, where it differs; ``""``: none can.
    """

    level: str
    any_of: str
    signed_by_service: str | None = None


@dataclass(frozen=True)
class Access:
    """What the caller has proved.

    Attributes:
        permissions: letters of ``sp``; None: everything, by the account's key.
        levels: letters of ``srt``; None for a service SAS.
        container: the container or queue that a service SAS is for.
        blob: its blob, if it is for one only.
    """

    permissions: str | None = None
    levels: str | None = None
    container: str | None = None
    blob: str | None = None

    def check(self, need: Need, container: str, blob: str) -> None:
        """Refuse what was not granted.

        Raises:
            StorageError: ``AuthorizationPermissionMismatch``, ``AuthorizationResourceTypeMismatch``,
                ``AuthorizationFailure`` for a resource that the SAS is not for.
        """
        if self.permissions is None:
            return
        if self.levels is not None:
            if need.level not in self.levels:
                raise StorageError("AuthorizationResourceTypeMismatch")
            wanted = need.any_of
        else:
            wanted = need.any_of if need.signed_by_service is None else need.signed_by_service
            if container != self.container or (self.blob is not None and blob != self.blob):
                raise StorageError("AuthorizationFailure")
        if not set(wanted) & set(self.permissions):
            raise StorageError("AuthorizationPermissionMismatch")

    @property
    def creates_only(self) -> bool:
        """Whether it may make new blobs, but not write over one."""
        return self.permissions is not None and "w" not in self.permissions


FULL = Access()
