"""The HTTP trigger: a route below ``/api`` that scores."""

from __future__ import annotations

from collections.abc import Callable

from mooring_runtime.front.exchange import Exchange
from mooring_runtime.functions.definition import Function, HostFile
from mooring_runtime.functions.keys import FUNCTION, LEVELS, FunctionKeys
from mooring_runtime.functions.problem import FunctionInvalid

DEFAULT_METHODS = ("get", "post")


class HttpTrigger:
    """Answers the calls of one function.

    The answers are those of ``/score`` of a web service, but that a missing or wrong key and a method that the
    function does not have get Azure's 401 and 404 without a body.

    Args:
        function: its bindings.
        host: ``host.json``.
        keys: gives the app's keys of the moment.
        score: takes the requests that may pass.

    Attributes:
        route: the path it answers.

    Raises:
        FunctionInvalid: ``BindingNotSupported``.
    """

    def __init__(
        self,
        function: Function,
        host: HostFile,
        keys: Callable[[], FunctionKeys],
        score: Callable[[Exchange], None],
    ) -> None:
        binding = function.trigger
        self._level = str(binding.get("authLevel") or FUNCTION).lower()
        route = str(binding.get("route") or function.name).strip("/")
        if self._level not in LEVELS or "{" in route:
            raise FunctionInvalid(
                "BindingNotSupported",
                f"Function {function.name}: authLevel {self._level!r} or route {route!r} is not supported.",
                f"authLevel is one of {', '.join(LEVELS)}; a route has no parameters.",
            )
        self.route = f"{host.route_prefix}/{route}"
        self._methods = frozenset(str(m).upper() for m in binding.get("methods") or DEFAULT_METHODS)
        self._keys = keys
        self._score = score

    def call(self, exchange: Exchange) -> None:
        """Answers one request."""
        if exchange.method not in self._methods:
            exchange.respond(404, [], b"")
        elif not self._keys().opens(exchange, self._level):
            exchange.respond(401, [], b"")
        else:
            self._score(exchange)
