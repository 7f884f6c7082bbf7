"""Where our answers differ from those of Azure's server, each with the reason: the one list of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any


@dataclass(frozen=True)
class Difference:
    """A deliberate difference.

    Attributes:
        cases: a pattern of ``world/case``.
        ours: what we answer, by aspect (see `conformance_facts.differences`); or a function of the reference's
            value and ours that says whether it is as meant.
        reason: why.
    """

    cases: str
    ours: Mapping[str, Any]
    reason: str


Check = Callable[[Any, Any], bool]


def both_schemes(theirs: Any, ours: Any) -> bool:
    return bool(ours == {**theirs, "schemes": ["http", "https"]})


UUID = ["<uuid>"]
IDENTITY = {
    "header:x-request-id": UUID,
    "header:x-ms-request-id": UUID,
    "header:x-ms-server-version": ["<server>"],
}
SCORE = {"header:allow": ["GET", "HEAD", "OPTIONS", "POST"]}
READ = {"header:allow": ["GET", "HEAD", "OPTIONS"]}
UNSERIALISABLE = {
    "body": '{"message": "The scoring script returned a value that is not JSON serializable. '
    'Check the logs for more info."}'
}
RUN_FAILED = '{"message": "An unexpected error occurred in scoring script. Check the logs for more info."}'
METHODS = "HTTP wants Allow in a 405; and an answer without its ids cannot be found in any log."
ALLOWED = "OPTIONS says which methods there are."
HELPFUL = (
    "The text says what is wrong instead of 'unexpected internal error'; status and headers are the same."
)
TYPE_ONCE = "One Content-Type: two are not valid, and callers take either."
LITERAL = (
    "What is neither text nor an iterable of text can only be meant as JSON; there it is garbage or a crash."
)
SCHEMES = "A service of ours speaks HTTP or HTTPS; generated clients choose."
TEXT_ERROR = "A body that is no UTF-8 is the caller's error (400), as without decorators; there it is a 500."

DIFFERENCES = (
    *(Difference(f"*/{world}-{method}", IDENTITY | allow, METHODS)
      for world, allow in (("score", SCORE), ("describe", SCORE), ("root", READ), ("swagger", READ))
      for method in ("PUT", "DELETE", "PATCH", "TRACE", "PROPFIND")),
    Difference("text/root-POST", IDENTITY | READ, METHODS),
    Difference("text/swagger-POST", IDENTITY | READ, METHODS),
    Difference("*/put", IDENTITY | SCORE, METHODS),
    *(Difference(pattern, SCORE, ALLOWED)
      for pattern in ("text/score-OPTIONS", "text/score-HEAD", "*/options", "*/head",
                      *(f"cors-{world}/{case}" for world in ("one", "two", "all", "pattern")
                        for case in ("preflight*", "options-without")))),
    *(Difference(f"text/result-{name}", UNSERIALISABLE, HELPFUL)
      for name in ("set", "bytes", "object", "exception", "tuple_keys", "generator", "numpy_array",
                   "numpy_integer")),
    Difference("raw/answer-unserialisable", UNSERIALISABLE, HELPFUL),
    *(Difference(f"{world}/swagger", {"body": both_schemes}, SCHEMES)
      for world in ("standard", "arrays", "nested", "frames", "output-only", "settings", "config-file")),
    *(Difference(f"text/swagger-version-{number}", {"body": both_schemes}, SCHEMES)
      for number in (0, 1, 2, 10, 11, 12)),
    Difference(
        "*/body-invalid-utf8",
        {"status": 400, "body": '{"message": "POST body could not be decoded as JSON: ..."}'},
        TEXT_ERROR,
    ),
    Difference("raw/answer-dict", {"body": '{"a": 1}', "header:content-type": ["application/json"]}, LITERAL),
    Difference(
        "raw/answer-number_message",
        IDENTITY | {"status": 200, "body": "5", "header:content-type": ["application/json"],
                    "header:x-ms-run-fn-exec-ms": ["<ms>"], "header:x-ms-run-function-failed": ["False"]},
        LITERAL,
    ),
    Difference(
        "raw/answer-number_header",
        {"status": 200, "body": "h", "header:content-type": ["text/html; charset=utf-8"], "header:x-n": ["5"],
         "header:x-ms-run-fn-exec-ms": ["<ms>"], "header:x-ms-run-function-failed": ["False"]},
        "A header's value may be a number; there run() fails.",
    ),
    Difference("raw/answer-json_str_typed", {"header:content-type": ["application/geo+json"]}, TYPE_ONCE),
    Difference("raw/answer-lower_type", {"header:content-type": ["text/plain"]}, TYPE_ONCE),
    Difference("raw/answer-generator_empty", {"chunked": None}, "A body without any part has length 0."),
    Difference(
        "raw/answer-generator_raises_first",
        IDENTITY | {"body": RUN_FAILED,
                    "header:content-type": ["application/json"], "header:x-ms-run-function-failed": ["True"]},
        "A generator that fails before its first part fails like run(); there it is the web server's own error page.",
    ),
)  # fmt: skip


def explained(name: str, aspect: str) -> Difference | None:
    """The entry for an aspect of a case (``world/case``)."""
    found = (d for d in DIFFERENCES if aspect in d.ours and fnmatchcase(name, d.cases))
    return next(found, None)


def as_meant(difference: Difference, aspect: str, theirs: Any, ours: Any) -> bool:
    """Whether our answer is what the entry says."""
    meant = difference.ours[aspect]
    return bool(meant(theirs, ours)) if callable(meant) else bool(meant == ours)
