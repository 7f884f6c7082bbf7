"""The function host: the part of the front that serves a function app.

The supervisor says in its ``sync`` what shall be served::

    "functions": {"script_root": "/…/home/site/wwwroot", "settings": {name: value}, "host_id": "myapp",
                  "keys": {"_master": "...", "default": "..."}}, or null for a web service

and the host says, each time a trigger's state changes::

    {"event": "functions", "functions": {name: {"type", "state", "code", "message", "hint"}}}

and what triggers write into the app's log::

    {"event": "log", "message": "..."}
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from mooring_runtime import __version__
from mooring_runtime.front.app import ScoringApp
from mooring_runtime.front.dispatch import Dispatcher
from mooring_runtime.front.exchange import Exchange
from mooring_runtime.front.reply import JSON_HEADERS
from mooring_runtime.functions.definition import BLOB, HTTP, SERVICE_BUS, Function, HostFile, read_app
from mooring_runtime.functions.http_trigger import HttpTrigger
from mooring_runtime.functions.invocation import Invoker
from mooring_runtime.functions.keys import ADMIN, FunctionKeys
from mooring_runtime.functions.problem import FunctionInvalid
from mooring_runtime.functions.settings import AppSettings
from mooring_runtime.functions.trigger import MakeTrigger, Setup, Trigger, TriggerState

# Imported when a function needs one: what speaks AMQP or storage costs start-up and memory.
TRIGGERS = {
    BLOB: "mooring_runtime.functions.blob_trigger:BlobTrigger",
    SERVICE_BUS: "mooring_runtime.functions.service_bus:ServiceBusTrigger",
}
STATUS = "/admin/host/status"
# Enough to keep a worker busy while the next input is fetched and the last output is written.
AHEAD = 8


class FunctionHost:
    """Serves a function app with the workers of a front.

    Args:
        app: answers the requests; its routes become those of the function app.
        dispatcher: the way to the workers.
        say: tells the supervisor.
    """

    def __init__(self, app: ScoringApp, dispatcher: Dispatcher, say: Callable[..., None]) -> None:
        self._app = app
        self._dispatcher = dispatcher
        self._say = say
        self._wanted: Mapping[str, Any] | None = None
        self._keys = FunctionKeys({})
        self._triggers: list[Trigger] = []
        self._states: dict[str, dict[str, str]] = {}
        self._changing: asyncio.Task[None] | None = None

    def configure(self, wanted: Mapping[str, Any] | None) -> None:
        """Serves what the supervisor wants; triggers that are different now drain first."""
        if wanted is not None:
            self._keys = FunctionKeys(wanted["keys"])
        if _without_keys(wanted) == _without_keys(self._wanted):
            return
        self._wanted = wanted
        before = self._changing
        self._changing = asyncio.get_running_loop().create_task(self._change(before, wanted))

    async def finish(self, seconds: float) -> None:
        """Take nothing new; give what runs ``seconds`` to end, then release it."""
        if self._changing is not None:
            self._changing.cancel()
            await asyncio.wait({self._changing})
        await self._end(seconds)

    async def _change(self, before: asyncio.Task[None] | None, wanted: Mapping[str, Any] | None) -> None:
        if before is not None:
            await asyncio.wait({before})
        await self._end(None)
        if wanted is not self._wanted:
            return  # there is something newer already
        self._states = {}
        try:
            self._begin(wanted)
        except FunctionInvalid as problem:
            self._report("", "", TriggerState("Waiting", problem.code, problem.message, problem.hint))

    async def _end(self, seconds: float | None) -> None:
        """End the triggers: within ``seconds``, or as long as what they have takes."""
        triggers, self._triggers = self._triggers, []
        if not triggers:
            return
        draining = [asyncio.ensure_future(trigger.drain()) for trigger in triggers]
        _, late = await asyncio.wait(draining, timeout=seconds)
        for task in late:
            task.cancel()
        for trigger in triggers:
            await trigger.stop()

    def _begin(self, wanted: Mapping[str, Any] | None) -> None:
        if wanted is None:
            self._app.route(None)
            return
        settings = AppSettings(wanted["settings"])
        host, functions = read_app(Path(wanted["script_root"]))
        routes: dict[str, Callable[[Exchange], None]] = {STATUS: self._status}
        for function in functions:
            self._add(function, host, settings, wanted, routes)
        self._app.route(routes)
        for trigger in self._triggers:
            trigger.start()

    def _add(
        self,
        function: Function,
        host: HostFile,
        settings: AppSettings,
        wanted: Mapping[str, Any],
        routes: dict[str, Callable[[Exchange], None]],
    ) -> None:
        report = partial(self._report, function.name, str(function.trigger["type"]))
        try:
            if function.kind == HTTP:
                http = HttpTrigger(function, host, lambda: self._keys, self._app.counted)
                routes[http.route] = http.call
                report(TriggerState("Running"))
                return
            setup = Setup(
                function,
                host,
                settings,
                wanted["host_id"],
                Invoker(self._dispatcher, function.name),
                self._concurrency,
                report,
                self._log,
            )
            self._triggers.append(_maker(function)(setup))
            report(TriggerState("Starting"))
        except FunctionInvalid as problem:
            report(TriggerState("Waiting", problem.code, problem.message, problem.hint))

    def _concurrency(self) -> int:
        return AHEAD * max(1, len(self._dispatcher.channels))

    def _report(self, function: str, kind: str, state: TriggerState) -> None:
        said = {"type": kind, **state.to_json()}
        if self._states.get(function) != said:
            self._states[function] = said
            if state.code:
                self._log(f"function {function}: {state.code}: {state.message}")
            self._say("functions", functions=dict(self._states))

    def _log(self, line: str) -> None:
        self._say("log", message=line)

    def _status(self, exchange: Exchange) -> None:
        if not self._keys.opens(exchange, ADMIN):
            exchange.respond(401, [], b"")
            return
        wanted = self._wanted or {}
        status = {
            "id": wanted.get("host_id"),
            "state": "Running" if self._dispatcher.ready and not self._app.stopping else "Starting",
            "version": __version__,
            "functions": self._states,
        }
        exchange.respond(200, list(JSON_HEADERS), json.dumps(status).encode())


def _maker(function: Function) -> MakeTrigger:
    place = TRIGGERS.get(function.kind)
    if place is None:
        raise FunctionInvalid(
            "BindingNotSupported",
            f"Function {function.name}: there is no trigger of the type {function.trigger['type']!r}.",
            f"There are httpTrigger, {', '.join(sorted(TRIGGERS))}.",
        )
    module, _, name = place.partition(":")
    made: MakeTrigger = getattr(import_module(module), name)
    return made


def _without_keys(wanted: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if wanted is None else {name: value for name, value in wanted.items() if name != "keys"}
