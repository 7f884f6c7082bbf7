"""Function apps in images: the files below ``/home/site/wwwroot``, where Azure Functions looks.

The layout is that of programming model v1 (docs/protocols.md, section 4). Mooring's own host reads ``host.json`` and
``function.json``; ``__init__.py`` is for Azure's host.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mooring_runtime.functions.pattern import check_paths
from mooring_runtime.functions.problem import FunctionInvalid
from mooring_server.domain.errors import InvalidRequest

ROOT = "/home/site/wwwroot"
LABEL = "dev.mooring.functions"
FUNCTION = "score"
# The app setting that Azure's articles name for the account of the trigger.
CONNECTION = "TriggerConnectionString"
VARIABLES = {
    "AzureWebJobsScriptRoot": ROOT,
    "FUNCTIONS_WORKER_RUNTIME": "python",
    "FUNCTIONS_EXTENSION_VERSION": "~4",
    "AzureFunctionsJobHost__Logging__Console__IsEnabled": "true",
}
AUTH_LEVELS = ("anonymous", "function", "admin")
DEFAULT_PATHS = ("input/{blobname}.json", "output/{blobname}_out.json")
DEFAULT_QUEUES = ("input", "output")

_HOST = {
    "version": "2.0",
    "extensionBundle": {"id": "Microsoft.Azure.Functions.ExtensionBundle", "version": "[4.*, 5.0.0)"},
}
_START = '''"""Runs the model under Azure Functions' own host."""

import importlib.util
import os
import sys

import azure.functions as func

_ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), *[os.pardir] * 4))
_VERSION = "python{}.{}".format(*sys.version_info[:2])
sys.path.append(os.path.join(_ROOT, "opt", "mooring", "env", "lib", _VERSION, "site-packages"))
_SPEC = importlib.util.spec_from_file_location(
    "_mooring_functions", os.path.join(_ROOT, "opt", "mooring", "runtime", "worker", "functions.py")
)
_FUNCTIONS = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_FUNCTIONS)
_HANDLER = _FUNCTIONS.load(os.path.join(_ROOT, "var", "azureml-app"))


'''
_MAIN = {
    "Http": '''def main(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    """Answers one request."""
    status, headers, body = _HANDLER.call(
        context.invocation_id, req.get_body(), req.headers.items(), req.method, "/", req.url.partition("?")[2]
    )
    return func.HttpResponse(body, status_code=status, headers=dict(headers))
''',
    "Blob": '''def main(blob: func.InputStream, output: func.Out[bytes], context: func.Context) -> None:
    """Scores one blob."""
    output.set(_HANDLER.output(context.invocation_id, blob.read()))
''',
    "ServiceBusQueue": '''def main(
    message: func.ServiceBusMessage, output: func.Out[bytes], context: func.Context
) -> None:
    """Scores one message."""
    headers = [("content-type", message.content_type)] if message.content_type else []
    output.set(_HANDLER.output(context.invocation_id, message.get_body(), headers))
''',
}


def check_options(options: Mapping[str, Any] | None) -> dict[str, str] | None:
    """Azure's ``deployedApiOptions`` with their defaults; None for an image without functions.

    Raises:
        InvalidRequest: ``FunctionOptionInvalid``.
    """
    options = {name: value for name, value in (options or {}).items() if value is not None}
    if not options:
        return None
    trigger = options.get("trigger")
    known = {
        "Http": ("authLevel",),
        "Blob": ("inPath", "outPath"),
        "ServiceBusQueue": ("inQueueName", "outQueueName"),
    }
    if options.get("flavor") != "functionsApp" or trigger not in known:
        raise _invalid(f"There is no trigger {trigger!r} of flavor {options.get('flavor')!r}.", str(trigger))
    names = known[trigger]
    given = {name: value for name, value in options.items() if name not in {"flavor", "trigger"}}
    unknown = sorted(set(given) - set(names))
    if unknown:
        raise _invalid(f"Invalid option {unknown[0]} for trigger {trigger}.", unknown[0])
    if trigger == "Http":
        level = str(given.get("authLevel", "function")).lower()
        if level not in AUTH_LEVELS:
            raise _invalid(f"authLevel is {level!r}; it is one of {', '.join(AUTH_LEVELS)}.", level)
        return {"flavor": "functionsApp", "trigger": trigger, "authLevel": level}
    defaults = DEFAULT_PATHS if trigger == "Blob" else DEFAULT_QUEUES
    values = {name: str(given.get(name, default)) for name, default in zip(names, defaults, strict=True)}
    if trigger == "Blob":
        try:
            check_paths(values["inPath"], values["outPath"])
        except FunctionInvalid as error:
            raise InvalidRequest(error.code, error.message, hint=error.hint) from error
    return {"flavor": "functionsApp", "trigger": trigger, **values}


def functions_of(options: Mapping[str, str]) -> list[dict[str, Any]]:
    """The functions of an image, each with ``name`` and ``bindings``; ``options`` have been checked."""
    return [{"name": FUNCTION, "bindings": _bindings(options)}]


def site_files(options: Mapping[str, str]) -> dict[str, bytes]:
    """The files below `ROOT`, by their relative paths."""
    functions = functions_of(options)
    files = {"host.json": _json(_HOST)}
    for function in functions:
        description = {"scriptFile": "__init__.py", "entryPoint": "main", "bindings": function["bindings"]}
        files[f"{function['name']}/function.json"] = _json(description)
        files[f"{function['name']}/__init__.py"] = (_START + _MAIN[options["trigger"]]).encode()
    return files


def _bindings(options: Mapping[str, str]) -> list[dict[str, Any]]:
    trigger = options["trigger"]
    if trigger == "Http":
        request = {
            "type": "httpTrigger",
            "direction": "in",
            "name": "req",
            "authLevel": options["authLevel"],
            "methods": ["get", "post"],
            "route": FUNCTION,
        }
        return [request, {"type": "http", "direction": "out", "name": "$return"}]
    if trigger == "Blob":
        return [
            _binding("blobTrigger", "in", "blob", path=options["inPath"]),
            _binding("blob", "out", "output", path=options["outPath"]),
        ]
    return [
        _binding("serviceBusTrigger", "in", "message", queueName=options["inQueueName"]),
        _binding("serviceBus", "out", "output", queueName=options["outQueueName"]),
    ]


def _binding(kind: str, direction: str, name: str, **place: str) -> dict[str, Any]:
    data = {"dataType": "binary"} if direction == "in" else {}
    return {"type": kind, "direction": direction, "name": name, **place, "connection": CONNECTION, **data}


def _json(data: Mapping[str, Any]) -> bytes:
    return (json.dumps(data, indent=2) + "\n").encode()


def _invalid(message: str, target: str) -> InvalidRequest:
    return InvalidRequest(
        "FunctionOptionInvalid",
        message,
        hint="Triggers are http (auth_level), blob (input_path, output_path) and service_bus_queue "
        "(input_queue_name, output_queue_name).",
        target=target[:200],
    )
