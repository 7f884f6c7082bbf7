"""A machine whose answers a test sets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any


class FakeMachine:
    def __init__(self, **answers: Any) -> None:
        self.answers = answers

    def system(self) -> str:
        return self.answers.get("system", "Linux")

    def which(self, program: str) -> str | None:
        return f"/usr/bin/{program}" if program in self.answers.get("programs", {}) else None

    def run(self, command: Sequence[str]) -> tuple[int, str]:
        return self.answers["programs"].get(Path(command[0]).name, (0, ""))

    def read(self, path: str) -> str | None:
        return self.answers.get("files", {}).get(path)

    def writable(self, path: str) -> bool:
        return path in self.answers.get("writable", ())

    def free_bytes(self, path: Path) -> int:  # noqa: ARG002
        return self.answers.get("free", 100 * 1024**3)

    def mode(self, path: Path) -> int | None:  # noqa: ARG002
        return self.answers.get("mode", 0o700)

    def packages(self) -> dict[str, str]:
        return self.answers.get("packages", {})

    def importable(self, module: str) -> bool:
        return module in self.answers.get("modules", ())

    def ask(self, socket: str, path: str) -> tuple[int, str]:  # noqa: ARG002
        return self.answers.get("sockets", {}).get(socket, (-1, "No such file or directory"))

    def variable(self, name: str) -> str:
        return self.answers.get("variables", {}).get(name, "")

    def landlock_abi(self) -> int:
        return self.answers.get("landlock", 0)
