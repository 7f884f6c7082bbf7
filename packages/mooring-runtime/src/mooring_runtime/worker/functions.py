"""Runs the entry script under Azure Functions' own host, in the process of its Python worker.

Mooring's function host has workers of its own and never imports this. The function's ``__init__.py`` calls `load` once
and `Handler.call` for each invocation.
"""

import json
import os
import sys
import types

_HERE = os.path.dirname(os.path.abspath(__file__))
PACKAGE = "_mooring_worker"
BAD = 400


class RunFailed(Exception):
    """``run`` failed; the host tries again."""


class _Exits:
    requested = False


def load(app_root):
    """Loads the entry script and calls ``init()``.

    Args:
        app_root: the folder with the user's files.
    """
    package = types.ModuleType(PACKAGE)
    package.__path__ = [_HERE]
    sys.modules.setdefault(PACKAGE, package)
    from _mooring_worker import entry, frames, scoring

    settings = {
        "app_root": app_root,
        "source_directory": os.environ.get("AZUREML_SOURCE_DIRECTORY"),
        "entry_script": os.environ["AZUREML_ENTRY_SCRIPT"],
    }
    entry.set_search_path(settings, os.path.join(_HERE, "shim"), os.path.join(_HERE, "fallback"))
    exits = _Exits()
    module = entry.load(settings, exits)
    scorer = scoring.Scorer(entry.run_function(module), exits)
    entry.initialise(module, exits)
    return Handler(scorer, frames)


class Handler:
    """The entry script's ``run``, one call at a time.

    Args:
        scorer: a `scoring.Scorer`.
        frames: the module.
    """

    def __init__(self, scorer, frames):
        self._scorer = scorer
        self._frames = frames

    def call(self, invocation_id, body, headers=(), method="POST", path="/", query=""):
        """Status, headers and body of the answer.

        Args:
            invocation_id: for the log.
            body: bytes.
            headers: pairs of the request.
            method: in capitals.
            path: of the request.
            query: without the question mark.
        """
        frames = self._frames
        if self._scorer.mode == "text" and method == "POST":
            request = (frames.TEXT, invocation_id.encode("utf-8"), body)
        else:
            head = {
                "id": invocation_id,
                "method": method,
                "path": path,
                "query": query,
                "headers": [list(pair) for pair in headers],
                "host": "localhost",
                "scheme": "https",
                "client": "",
            }
            request = (frames.FULL, json.dumps(head).encode("utf-8"), body)
        kind, head, answer = self._scorer.answer(*request)
        stream, self._scorer.stream = self._scorer.stream, None
        if stream is not None:
            answer += b"".join(stream)
        if kind == frames.RESULT:
            return 200, [("content-type", "application/json")], answer
        said = json.loads(head.decode("utf-8"))
        return said["status"], [tuple(pair) for pair in said["headers"]], answer

    def output(self, invocation_id, body, headers=()):
        """What the output binding gets for an input that is no HTTP request.

        Raises:
            RunFailed: the answer's status is 400 or more.
        """
        status, _, answer = self.call(invocation_id, body, headers)
        if status >= BAD:
            text = answer[:500].decode("utf-8", "replace")
            raise RunFailed("run() answered with status {}: {}".format(status, text))
        return answer
