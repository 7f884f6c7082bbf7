"""Who may do what: roles, what a call needs, and what a caller has."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from mooring_server.domain.errors import Forbidden


class Role(IntEnum):
    """Each role may do what the ones before it may."""

    READER = 1
    CONTRIBUTOR = 2
    OWNER = 3

    @property
    def text(self) -> str:
        """As callers write it: ``reader``."""
        return self.name.lower()


@dataclass(frozen=True)
class Need:
    """What a call asks of its caller.

    Attributes:
        role: the least role; None for calls that need no token.
        everywhere: whether a token for some workspaces only is not enough.
        quiet: whether the call is left out of the audit log although its method is one that changes.
    """

    role: Role | None
    everywhere: bool = False
    quiet: bool = False


@dataclass(frozen=True)
class Principal:
    """Who calls, as its token says.

    Attributes:
        id: of the token, never the token itself.
        workspaces: keys (`names.workspace_key`) of those it is for; None for all, also those to come.
    """

    id: str
    name: str
    role: Role
    workspaces: frozenset[str] | None = None

    def may_enter(self, workspace: str) -> bool:
        """Whether the token is for the workspace of that key."""
        return self.workspaces is None or workspace in self.workspaces

    def covers(self, workspaces: Iterable[str] | None) -> bool:
        """Whether what a token for these workspaces reaches is within what this one reaches."""
        if workspaces is None:
            return self.workspaces is None
        return all(self.may_enter(workspace) for workspace in workspaces)

    def check(self, need: Need, workspace: str | None) -> None:
        """Refuse the call unless the token suffices.

        Args:
            need: what the call asks.
            workspace: key of the one concerned, or None.

        Raises:
            Forbidden: with what was needed and what the token has.
        """
        if need.role is None:
            return
        allowed = self.role >= need.role
        allowed = allowed and (workspace is None or self.may_enter(workspace))
        if allowed and not (need.everywhere and self.workspaces is not None):
            return
        where = (
            f"workspace {workspace}" if workspace else "all workspaces" if need.everywhere else "a workspace"
        )
        raise forbidden(self, f"the role {need.role.text} for {where}")

    @property
    def text(self) -> str:
        """Role and reach, in words."""
        if self.workspaces is None:
            return f"{self.role.text} for all workspaces"
        return f"{self.role.text} for {', '.join(sorted(self.workspaces)) or 'no workspace any more'}"


def forbidden(principal: Principal, needed: str) -> Forbidden:
    """The refusal that says what was needed and what the token has."""
    return Forbidden(
        "Forbidden",
        f"This needs {needed}; the token {principal.name!r} is {principal.text}.",
        hint="Use another token, or ask an owner of the server for one: mooring token create.",
        target=principal.name,
        evidence={"needed": needed, "has": principal.text},
    )
