"""A machine whose answers a test sets."""

from pathlib import Path


class FakeMachine:
    def __init__(self, **answers):
        self.answers = answers

    def system(self):
        return self.answers.get("system", "Linux")

    def which(self, program):
        return f"/usr/bin/{program}" if program in self.answers.get("programs", {}) else None

    def run(self, command):
        return self.answers["programs"].get(Path(command[0]).name, (0, ""))

    def read(self, path):
        return self.answers.get("files", {}).get(path)

    def writable(self, path):
        return path in self.answers.get("writable", ())

    def free_bytes(self, path):
        return self.answers.get("free", 100 * 1024**3)

    def mode(self, path):
        return self.answers.get("mode", 0o700)

    def packages(self):
        return self.answers.get("packages", {})

    def importable(self, module):
        return module in self.answers.get("modules", ())

    def landlock_abi(self):
        return self.answers.get("landlock", 0)
