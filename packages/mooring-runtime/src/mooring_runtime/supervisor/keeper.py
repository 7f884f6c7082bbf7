"""``python -m mooring_runtime.supervisor.keeper FD``: one container, from its creation to its removal.

A process of its own, since an engine answers when it likes, and the supervisor must not wait for it. FD has a
JSON object ``{"engine", "name", "container", "service"}``, as `container_plan` makes them. It prints JSON lines:

    {"event": "started", "container": id}
    {"event": "away", "failure": {...}}          the engine has gone; it may not take its containers along
    {"event": "back"}
    {"event": "ended", "exit_code", "oom", "error", "log"}
    {"event": "failed", "failure": {...}}        as in docs/protocols.md, section 1

SIGTERM ends and removes the container. When the keeper is killed, the container ends with the supervisor's
connection, and what is left of it is removed before the next one is made.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any

from mooring_runtime.engine.client import Engine, EngineError, EngineUnavailable
from mooring_runtime.supervisor import proctable
from mooring_runtime.supervisor.container_plan import LABEL_OWNER, LABEL_SERVICE
from mooring_runtime.supervisor.engine_failure import failure_of

RETRY_SECONDS = 1.0
TAIL_LINES = 100


class Stopped(BaseException):
    """SIGTERM came."""


def own_name() -> str:
    """This process among all that ever run on this machine: its pid and when it started."""
    return f"{os.getpid()}.{_started(os.getpid())}"


def owned(name: str) -> bool:
    """Whether the process that `own_name` names still runs."""
    pid, _, started = name.partition(".")
    return pid.isdecimal() and _started(int(pid)) == started


def _started(pid: int) -> str:
    try:
        text = (proctable.PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return text[text.rindex(")") + 2 :].split()[19]


def remove_left(engine: Engine, label: str) -> int:
    """Removes the containers with a label (``name=value``) whose keepers were killed; how many.

    Raises:
        EngineError: the engine does not do it.
    """
    removed = 0
    for found in engine.containers(label):
        if not owned((found.get("Labels") or {}).get(LABEL_OWNER, "")):
            engine.remove(found["Id"])
            removed += 1
    return removed


def say(**event: Any) -> None:
    """One event to the supervisor."""
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


def keep(settings: Mapping[str, Any]) -> None:
    """Makes, starts, watches and removes the container.

    Raises:
        EngineError: it cannot be made or started.
    """
    engine = Engine(Path(settings["engine"]))
    try:
        remove_left(engine, f"{LABEL_SERVICE}={settings['service']}")
        body = dict(settings["container"])
        body["Labels"] = {**body["Labels"], LABEL_OWNER: own_name(), LABEL_SERVICE: settings["service"]}
        container = engine.create(settings["name"], body)
        engine.start(container)
        say(event="started", container=container)
        wait(engine, container)
        tell_end(engine, container)
    finally:
        # From here on it is being removed; a second SIGTERM would only leave it.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        engine.remove(settings["name"])  # by its name: it may have been made without our learning its id


def wait(engine: Engine, container: str) -> None:
    """Until it has ended. An engine that is restarted may leave its containers running: it is asked again.

    Raises:
        EngineRefused: the container is gone.
    """
    away = False
    while (found := _look(engine, container, wait=not away)) is not False:
        if isinstance(found, EngineUnavailable) and not away:
            say(event="away", failure=failure_of(found, "").to_json())
        elif away and found is True:
            say(event="back")
        away = found is not True
        time.sleep(RETRY_SECONDS)


def _look(engine: Engine, container: str, *, wait: bool) -> bool | EngineUnavailable:
    """Whether it runs, asked when it has ended or at once; the error of an engine that cannot tell."""
    try:
        if wait:
            engine.wait(container)
        return bool(engine.inspect(container)["State"]["Running"])
    except EngineUnavailable as error:
        return error


def tell_end(engine: Engine, container: str) -> None:
    """How it ended."""
    state = engine.inspect(container)["State"]
    say(
        event="ended",
        exit_code=int(state.get("ExitCode") or 0),
        oom=bool(state.get("OOMKilled")),
        error=str(state.get("Error") or ""),
        log=engine.logs(container, TAIL_LINES),
    )


def main() -> int:
    """Keeps one container; 0 when it was told to stop or the container ended."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise Stopped

    settings = json.loads(Path(f"/proc/self/fd/{int(sys.argv[1])}").read_text(encoding="utf-8"))
    signal.signal(signal.SIGTERM, stop)
    try:
        keep(settings)
    except Stopped:
        return 0
    except EngineError as error:
        say(event="failed", failure=failure_of(error, settings["container"]["Image"]).to_json())
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
