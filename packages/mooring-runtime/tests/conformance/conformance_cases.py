"""The requests of the conformance suite: worlds (a script with its environment) and what is asked of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
BOUNDARY = "XyZ"
MULTIPART = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


@dataclass(frozen=True)
class Case:
    """One request."""

    name: str
    method: str
    target: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    chunked: bool = False


@dataclass(frozen=True)
class World:
    """A service and the requests sent to it."""

    name: str
    script: str
    cases: tuple[Case, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    needs: str = ""


def post(name: str, body: bytes | str, headers: Mapping[str, str] | None = None, query: str = "") -> Case:
    data = body.encode() if isinstance(body, str) else body
    return Case(name, "POST", f"/score{query}", data, headers or {})


def get(name: str, target: str, headers: Mapping[str, str] | None = None) -> Case:
    return Case(name, "GET", target, b"", headers or {})


RESULTS = [
    "none",
    "text",
    "empty_text",
    "json_text",
    "number",
    "big_number",
    "true",
    "list",
    "empty_list",
    "empty_dict",
    "tuple",
    "set",
    "bytes",
    "object",
    "exception",
    "nan",
    "unicode",
    "integer_keys",
    "tuple_keys",
    "nested",
    "legacy_dict",
    "control",
    "generator",
    "raise",
    "missing_key",
    "numpy_array",
    "numpy_float",
    "numpy_integer",
]
LONG = "x" * 100
TOO_LONG = "x" * 101


def text_cases() -> tuple[Case, ...]:
    cases = [post(f"result-{name}", f'{{"do": "{name}"}}', JSON) for name in RESULTS]
    cases += [
        post("plain", "some text", {"Content-Type": "text/plain"}),
        post("no-content-type", '{"a": 1}'),
        post("empty", ""),
        post("empty-json", "", JSON),
        post("charset", '{"a": "é"}', {"Content-Type": "application/json; charset=utf-8"}),
        post("charset-latin", "é".encode("latin-1"), {"Content-Type": "text/plain; charset=latin-1"}),
        post("invalid-utf8", b"\xff\xfe"),
        post("truncated-utf8", b"ab\xc5"),
        post("bom", b"\xef\xbb\xbf[1]"),
        post("unicode", "žluťoučký kůň \U0001f40e"),
        post("nul", b"a\x00b"),
        post("crlf", b"a\r\nb\r\n"),
        post("urlencoded", "a=1&b=2", FORM),
        post("urlencoded-json", '{"a": 1}', FORM),
        post("urlencoded-capitals", "a=1", {"Content-Type": "Application/X-WWW-Form-Urlencoded; charset=x"}),
        post("multipart", multipart_body(), MULTIPART),
        post("multipart-broken", "nothing", MULTIPART),
        post("octets", b"abc", {"Content-Type": "application/octet-stream"}),
        post("odd-type", "abc", {"Content-Type": ";;"}),
        post("big", "y" * 3_000_000),
        Case("chunked", "POST", "/score", b"in two parts", {}, chunked=True),
        Case("chunked-empty", "POST", "/score", b"", {}, chunked=True),
        post("query-is-ignored", "body", query="?a=1"),
        get("get-nothing", "/score"),
        get("get-empty-query", "/score?"),
        get("get-values", "/score?a=1&b=x&b=2&c=1.5&d=null&e=true&f="),
        get("get-json", "/score?a=[1,2]&b=" + quote('{"c": [null]}') + "&d=%22q%22"),
        get("get-bare-quotes", '/score?a="q"'),
        get("get-numbers", "/score?a=-1e3&b=007&c=NaN&d=Infinity&e=1_0&f=0x1&g=+1&h=1%20"),
        get("get-keys", "/score?A=1&a=2&=3&%20=4&a%26b=5&x"),
        get("get-unicode", "/score?a=%C5%BE&b=%F0%9F%90%8E&%C3%A9=1"),
        get("get-invalid-utf8", "/score?a=%FF&b=%C5&c=%zz"),
        get("get-separators", "/score?a=1;b=2&&c=3&d=4=5&e+f=g+h"),
        get("get-do", "/score?do=%22none%22"),
        Case("get-body", "GET", "/score?a=1", b"a body", {}),
    ]
    cases += [Case(f"score-{method}", method, "/score") for method in METHODS]
    cases += [Case(f"root-{method}", method, "/") for method in (*METHODS, "GET", "POST")]
    cases += [Case(f"swagger-{method}", method, "/swagger.json") for method in (*METHODS, "POST")]
    cases += [Case(f"unknown-{method}", method, "/unknown") for method in (*METHODS, "GET", "POST")]
    cases += [
        get(f"path-{number}", path)
        for number, path in enumerate((
            "/score/", "//score", "/score//", "/%73core", "/sc%6Fre?a=1", "/score%20", "/Score", "/score.",
            "//", "/./score", "/a/../score", "/swagger.json/", "/swagger", "/score/more", "/%2Fscore",
            "//score?a=%20b", "/index.html", "/sc%C3%A9", "//swagger.json?version=3",
        ))
    ]  # fmt: skip
    cases.append(Case("post-double-slash", "POST", "//score", b"body"))
    cases += [
        get(f"swagger-version-{number}", f"/swagger.json{query}")
        for number, query in enumerate((
            "", "?version=2", "?version=2.0", "?version=3", "?version=3.0", "?version=3.1", "?version=4",
            "?version=", "?version=1", "?version=3.0.3", "?version=2&version=3", "?other=1", "?VERSION=3",
        ))
    ]  # fmt: skip
    return (
        *cases,
        *id_cases("post", lambda n, h: post(n, "b", h)),
        *id_cases("root", lambda n, h: get(n, "/", h)),
    )


METHODS = ("PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "PROPFIND")


def id_cases(prefix: str, make: Callable[[str, Mapping[str, str]], Case]) -> list[Case]:
    sets = {
        "request-id": {"x-ms-request-id": "r"},
        "client-id": {"x-ms-client-request-id": "c"},
        "both": {"x-ms-request-id": "r", "x-ms-client-request-id": "c"},
        "own": {"x-request-id": "o"},
        "all": {"x-request-id": "o", "x-ms-request-id": "r", "x-ms-client-request-id": "c"},
        "own-client": {"x-request-id": "o", "x-ms-client-request-id": "c"},
        "empty": {"x-ms-request-id": "", "x-ms-client-request-id": ""},
        "empty-own": {"x-request-id": ""},
        "long-request-id": {"x-ms-request-id": LONG},
        "too-long-request-id": {"x-ms-request-id": TOO_LONG},
        "too-long-client-id": {"x-ms-client-request-id": TOO_LONG},
        "too-long-own": {"x-request-id": TOO_LONG},
        "long-own": {"x-request-id": LONG},
        "too-long-and-trace": {"x-ms-request-id": TOO_LONG, "TraceId": "t", "x-request-id": "o"},
        "trace": {"TraceId": "trace me"},
        "trace-lower": {"traceid": "t"},
        "spaces": {"x-ms-client-request-id": "a b;c,d"},
    }
    return [make(f"{prefix}-ids-{name}", headers) for name, headers in sets.items()]


def multipart_body() -> bytes:
    return (
        f"--{BOUNDARY}\r\n"
        'Content-Disposition: form-data; name="field"\r\n\r\nvalue\r\n'
        f"--{BOUNDARY}\r\n"
        'Content-Disposition: form-data; name="field"\r\n\r\nžluť\r\nsecond line\r\n'
        f"--{BOUNDARY}\r\n"
        'Content-Disposition: form-data; name="file"; filename="a \\"b\\".txt"\r\n'
        "Content-Type: text/plain; charset=utf-8\r\n\r\nin the file\r\n\r\n"
        f"--{BOUNDARY}\r\n"
        "Content-Disposition: form-data; name=file; filename=plain.bin\r\n"
        "Content-Type: application/octet-stream\r\n\r\n\x00\x01\r\n"
        f"--{BOUNDARY}\r\n"
        'Content-Disposition: form-data; name="empty"; filename=""\r\n\r\n\r\n'
        f"--{BOUNDARY}--\r\n"
    ).encode()


ANSWERS = [
    "text",
    "keyword",
    "bytes",
    "bytes_typed",
    "empty",
    "none",
    "none_created",
    "json_str",
    "json_str_text",
    "json_str_number",
    "json_str_bytes",
    "json_str_typed",
    "dict",
    "list_of_text",
    "list_of_bytes",
    "number_message",
    "headers",
    "lower_type",
    "number_header",
    "newline_header",
    "own_id",
    "bad",
    "teapot",
    "no_content",
    "not_modified",
    "broken",
    "unavailable",
    "failed",
    "failed_bad",
    "redirect",
    "status_text",
    "generator",
    "generator_bytes",
    "generator_empty",
    "generator_sized",
    "generator_error",
    "generator_raises_first",
    "generator_raises_later",
    "string",
    "plain_none",
    "plain_dict",
    "plain_json",
    "unserialisable",
    "cookie",
    "changed",
    "own_error",
    "absent_argument",
]


def raw_cases() -> tuple[Case, ...]:
    def do(name: str, what: str, body: bytes | str = "", headers: Mapping[str, str] | None = None) -> Case:
        return post(name, body, headers, f"?do={what}")

    cases = [do(f"answer-{name}", name) for name in ANSWERS]
    cases += [Case(f"head-{name}", "HEAD", f"/score?do={name}") for name in ("text", "generator", "broken")]
    cases += [Case(f"describe-{method}", method, "/score?a=1&a=2") for method in (*METHODS, "GET", "POST")]
    cases += [
        post("describe-json", '{"a": 1}', JSON, "?x=%20y&z=%C3%A9&z=%FF&empty"),
        post("describe-type", "b", {"Content-Type": 'Text/HTML; Charset="UTF-8"; a=b'}),
        post("describe-vendor", "{}", {"Content-Type": "application/vnd.a+json"}),
        post("describe-cookies", "", {"Cookie": 'a=1; b="two words"; c=; d=x=y; e'}),
        post("describe-headers", "", {"X-Custom-Thing": "v", "accept": "a/b", "USER-AGENT": "me/1.0"}),
        Case("describe-path", "POST", "/sc%6Fre?a=%2F", b"x"),
        do("names", "names", "", {"X-Custom": "v", "X-Number": "12"}),
        post("names-query", "", {"X-Custom": "v", "X-Number": "no"}, "?do=names&n=1&n=x&n=3&s=5"),
        do("form", "form", "a=1&a=2&b=%C5%BE+x&c=&d", FORM),
        do(
            "form-charset",
            "form",
            "a=1",
            {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"},
        ),
        do("form-invalid", "form", b"a=%FF&b=\xff", FORM),
        do("form-empty", "form", "", FORM),
        do("form-multipart", "form", multipart_body(), MULTIPART),
        do("form-multipart-broken", "form", "--XyZ\r\nno end", MULTIPART),
        do("form-multipart-no-boundary", "form", multipart_body(), {"Content-Type": "multipart/form-data"}),
        do("form-json", "form", '{"a": 1}', JSON),
        get("form-get", "/score?do=form&a=1"),
        do("data-first-form", "data_first", "a=1", FORM),
        do("data-first-multipart", "data_first", multipart_body(), MULTIPART),
        do("stream", "stream", "abcdef"),
        do("json", "json", '{"a": [1, "é"]}', JSON),
        do("json-vendor", "json", "[1]", {"Content-Type": "application/vnd.a+json"}),
        do("json-charset", "json", "[1]", {"Content-Type": "application/json; charset=utf-8"}),
        do("json-wrong-type", "json", "[1]", {"Content-Type": "text/plain"}),
        do("json-no-type", "json", "[1]"),
        do("json-invalid", "json", "{", JSON),
        do("json-empty", "json", "", JSON),
        do("json-null", "json", "null", JSON),
        do("forced", "forced", "[1]"),
        do("forced-invalid", "forced", "{"),
        do("big", "big", b"z" * 2_000_000),
        do("unknown-action", "nothing"),
        Case("raw-chunked", "POST", "/score", b"in parts", {}, chunked=True),
        get("raw-swagger", "/swagger.json?version=3"),
    ]
    return tuple(cases)


def schema_cases(*bodies: tuple[str, str]) -> tuple[Case, ...]:
    """What every decorated script is asked, and bodies of its own."""
    cases = [post(name, body, JSON) for name, body in bodies]
    first = bodies[0][1]
    cases += [
        post("type-none", first),
        post("type-text", first, {"Content-Type": "text/plain"}),
        post("type-charset", first, {"Content-Type": "application/json; charset=utf-8"}),
        post("type-capitals", first, {"Content-Type": "Application/JSON"}),
        post("type-vendor", first, {"Content-Type": "application/vnd.a+json"}),
        post("type-text-json", first, {"Content-Type": "text/json"}),
        post("type-form", first, FORM),
        post("body-empty", "", JSON),
        post("body-blank", " \n", JSON),
        post("body-invalid", "{'a': 1}", JSON),
        post("body-list", "[1]", JSON),
        post("body-text", '"a"', JSON),
        post("body-null", "null", JSON),
        post("body-object", "{}", JSON),
        post("body-other", '{"unknown": 1}', JSON),
        post("body-invalid-utf8", b'{"data": "\xff"}', JSON),
        post("body-bom", b"\xef\xbb\xbf" + first.encode(), JSON),
        post("body-utf16", first.encode("utf-16"), JSON),
        post("empty-and-wrong-type", "", {"Content-Type": "text/plain"}),
        get("get-nothing", "/score"),
        Case("options", "OPTIONS", "/score"),
        Case("head", "HEAD", "/score"),
        Case("put", "PUT", "/score"),
        get("swagger", "/swagger.json"),
        get("swagger-3", "/swagger.json?version=3"),
        get("swagger-3.1", "/swagger.json?version=3.1"),
        get("swagger-9", "/swagger.json?version=9"),
    ]
    return tuple(cases)


STANDARD = (
    *schema_cases(
        ("all", '{"text": "a", "number": 2.5, "whole": 1, "flag": true, "raw": "YWJj"}'),
        ("required", '{"text": "a", "number": 2}'),
        ("missing-number", '{"text": "a"}'),
        ("missing-text", '{"number": 1}'),
        ("wrong-type", '{"text": 5, "number": 2}'),
        ("wrong-number", '{"text": "a", "number": "b"}'),
        ("null", '{"text": null, "number": 1}'),
        ("optional-null", '{"text": "a", "number": 1, "whole": null}'),
        ("optional-zero", '{"text": "a", "number": 1, "whole": 0}'),
        ("extra", '{"text": "a", "number": 1, "more": 1}'),
        ("not-base64", '{"text": "a", "number": 1, "raw": "%%%"}'),
        ("raise", '{"text": "raise", "number": 1}'),
        ("duplicate", '{"text": "a", "text": "b", "number": 1}'),
        ("nan", '{"text": "a", "number": NaN}'),
    ),
    get("get-values", "/score?text=a&number=2.5"),
    get("get-number-for-text", "/score?text=1&number=2.5"),
    get("get-list", "/score?text=a&text=b&number=1"),
    get("get-missing", "/score?text=a"),
    get("get-json", "/score?text=%221%22&number=2&flag=true&whole=5"),
)
ARRAYS = (
    *schema_cases(
        ("rows", '{"data": [[1, 2, 3], [4, 5, 6]]}'),
        ("scale", '{"data": [[1, 2, 3]], "scale": [3, 4]}'),
        ("scale-null", '{"data": [[1, 2, 3]], "scale": null}'),
        ("scale-empty", '{"data": [[1, 2, 3]], "scale": []}'),
        ("too-wide", '{"data": [[1, 2, 3, 4]]}'),
        ("flat", '{"data": [1, 2, 3]}'),
        ("ragged", '{"data": [[1, 2, 3], [1]]}'),
        ("text", '{"data": "abc"}'),
        ("words", '{"data": [["a", "b", "c"]]}'),
        ("empty-array", '{"data": []}'),
        ("number-texts", '{"data": [["1", "2", "3"]]}'),
    ),
    get("get-array", "/score?data=[[1,2,3]]&scale=[5]"),
    get("get-text", "/score?data=abc"),
)
NESTED = schema_cases(
    ("all", '{"inputs": {"array": [[1, 2]], "deep": {"name": "n", "other": [[3, 4]]}, "plain": 1}}'),
    ("many", '{"inputs": {"plain": 1}, "many": [[[1, 2]], [[3, 4]]]}'),
    ("partial", '{"inputs": {"array": [[1, 2]]}}'),
    ("not-a-dict", '{"inputs": [1]}'),
    ("wrong-deep", '{"inputs": {"deep": {"name": 5}}}'),
    ("wrong-many", '{"inputs": {}, "many": {"a": 1}}'),
    ("extra", '{"inputs": {"more": 1, "array": [[1, 2]]}}'),
)
FRAMES = schema_cases(
    ("records", '{"data": [{"a": 1, "b": "x", "c": 1.5}]}'),
    ("split", '{"data": [{"a": 1, "b": "x", "c": 1}], "split": {"columns": ["a", "b"], "data": [[1, "q"]]}}'),
    ("missing-column", '{"data": [{"a": 1}]}'),
    ("text", '{"data": "abc"}'),
    ("wrong-value", '{"data": [{"a": "no", "b": "x", "c": 1.5}]}'),
)
ORIGIN = {"Origin": "https://a.example"}
OTHER = {"Origin": "https://c.example"}


def preflight(method: str = "POST", origin: str = "https://a.example", **more: str) -> dict[str, str]:
    headers = {"Origin": origin, "Access-Control-Request-Method": method}
    return headers | {name.replace("_", "-"): value for name, value in more.items()}


CORS = (
    post("none", "a"),
    post("allowed", "a", ORIGIN),
    post("capitals", "a", {"Origin": "HTTPS://A.example"}),
    post("other", "a", OTHER),
    post("failing", '{"do": "raise"}', ORIGIN),
    post("bad-request", b"\xff", ORIGIN),
    get("get", "/score?a=1", ORIGIN),
    get("root", "/", ORIGIN),
    get("swagger", "/swagger.json?version=9", ORIGIN),
    Case("preflight", "OPTIONS", "/score", b"", preflight()),
    Case("preflight-get", "OPTIONS", "/score", b"", preflight("GET")),
    Case("preflight-lower", "OPTIONS", "/score", b"", preflight("post")),
    Case("preflight-put", "OPTIONS", "/score", b"", preflight("PUT")),
    Case("preflight-other", "OPTIONS", "/score", b"", preflight(origin="https://c.example")),
    Case("preflight-headers", "OPTIONS", "/score", b"", preflight(Access_Control_Request_Headers="x-b, Authz,a")),
    Case("preflight-private", "OPTIONS", "/score", b"", preflight(Access_Control_Request_Private_Network="true")),
    Case("root-preflight", "OPTIONS", "/", b"", preflight("GET")),
    Case("options-without", "OPTIONS", "/score", b"", {}),
)  # fmt: skip
SETTINGS_CASES = (
    post("post", "a"),
    post("slow", '{"do": "sleep"}'),
    get("swagger", "/swagger.json"),
    get("swagger-3", "/swagger.json?version=3"),
)
HEADER_CASES = (
    post("post", "body", {"X-Custom": "v", "x-lower-case": "w"}),
    post("json", "{}", JSON),
    post("form", "a=1", FORM),
    post("odd-values", "b", {"X-A": "a, b", "X-B": "", "Accept-Encoding": "gzip"}),
    get("get", "/score?a=1&b=x", {"X-Custom": "v"}),
)
KEYWORD_CASES = (post("post", "b"), post("json", "{}", JSON), get("get", "/score?a=1"))
SLOW = """import time
def init(): pass
def run(data):
    time.sleep(30 if "sleep" in data else 0)
    return 1
"""

WORLDS = (
    World("text", "text.py", text_cases()),
    World("headers", "headers.py", HEADER_CASES),
    World("keyword", "keyword.py", KEYWORD_CASES),
    World("raw", "raw.py", raw_cases()),
    World("standard", "standard.py", STANDARD),
    World("arrays", "arrays.py", ARRAYS),
    World("nested", "nested.py", NESTED),
    World("frames", "frames.py", FRAMES, needs="pandas"),
    World("output-only", "output_only.py", schema_cases(("data", '{"data": 1}'), ("other", '{"data": 1, "other": 2}'))),
    World("mixed-types", "mixed_types.py", schema_cases(("data", '{"data": [1, "b"]}'))),
    World("cors-one", "text.py", CORS, {"AML_CORS_ORIGINS": "https://a.example"}),
    World("cors-two", "text.py", CORS, {"AML_CORS_ORIGINS": "https://b.example, https://a.example"}),
    World("cors-all", "text.py", CORS, {"AML_CORS_ORIGINS": "*"}),
    World("cors-pattern", "text.py", CORS, {"AML_CORS_ORIGINS": r"https://.*\.example"}),
    World("cors-raw", "raw.py", CORS, {"AML_CORS_ORIGINS": "https://a.example"}),
    World(
        "settings",
        SLOW,
        SETTINGS_CASES,
        {
            "SCORING_TIMEOUT_MS": "500",
            "SERVICE_NAME": "named",
            "SERVICE_VERSION": "7",
            "SERVICE_PATH_PREFIX": "/a/b/",
            "SERVER_VERSION_LOG_RESPONSE_ENABLED": "false",
        },
    ),
    World(
        "config-file",
        SLOW,
        SETTINGS_CASES,
        {"SERVICE_VERSION": "8"},
        {"config.json": '{"SCORING_TIMEOUT_MS": 400, "SERVICE_NAME": "filed", "SERVICE_VERSION": "9", "id": "x"}'},
    ),
    World(
        "own-swagger",
        "text.py",
        tuple(get(f"v{version}", f"/swagger.json?version={version}") for version in ("2", "3", "3.1", "4")),
        {},
        {"swagger.json": '{"own": 2}', "swagger2.json": '{"own": "not this"}', "swagger3.json": '{"own": "ž"}'},
    ),
    World(
        "own-swagger-2",
        "text.py",
        tuple(get(f"v{version}", f"/swagger.json?version={version}") for version in ("2", "3", "3.1")),
        {},
        {"swagger2.json": '{"own": 2}', "swagger3.1.json": '{"own": 3.1}'},
    ),
)  # fmt: skip
