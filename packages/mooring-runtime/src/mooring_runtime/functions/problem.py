"""What is wrong with a function, as data."""

from __future__ import annotations


class FunctionInvalid(Exception):
    """A function that cannot run as it is described and set.

    Attributes:
        code: of docs/errors.md.
        message: what was expected, what came, where.
        hint: what to do next.
    """

    def __init__(self, code: str, message: str, hint: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
