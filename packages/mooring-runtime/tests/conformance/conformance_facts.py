"""Sends the cases and writes down what can be compared."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import re
import socket
from typing import Any

from conformance_cases import Case, World

PATIENCE_SECONDS = 120
LONGEST_BODY = 4000
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
# Headers of the HTTP engine, not of the contract.
IGNORED = {"server", "date", "connection", "content-length", "transfer-encoding", "keep-alive"}

Facts = dict[str, Any]


def exchange(host: str, port: int, case: Case) -> Facts:
    """The facts of one answer."""
    with socket.create_connection((host, port), PATIENCE_SECONDS) as connection:
        connection.sendall(request(case, f"{host}:{port}"))
        response = http.client.HTTPResponse(connection, method=case.method)
        response.begin()
        broken = False
        try:
            body = response.read()
        except http.client.IncompleteRead as exc:
            broken, body = True, exc.partial
        except ConnectionResetError:
            broken, body = True, b""
        headers: dict[str, list[str]] = {}
        for name, value in response.getheaders():
            if name.lower() not in IGNORED:
                headers.setdefault(name.lower(), []).append(value)
        facts = {
            "status": response.status,
            "headers": normal_headers(headers, f"{host}:{port}"),
            # Where the connection is cut in a broken body is a matter of time.
            "body": "" if broken else normal_body(body, headers, f"{host}:{port}"),
        }
        if response.chunked and case.method != "HEAD":
            facts["chunked"] = True
        if broken:
            facts["broken"] = True
        return facts


def request(case: Case, host: str) -> bytes:
    """The request as it is sent; nothing is added that the case does not say, but what HTTP needs."""
    lines = [f"{case.method} {case.target} HTTP/1.1", f"Host: {host}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in case.headers.items()]
    body = case.body
    if case.chunked:
        lines.append("Transfer-Encoding: chunked")
        half = len(body) // 2
        parts = [part for part in (body[:half], body[half:]) if part]
        body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    elif body or case.method == "POST":
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def normal_headers(headers: dict[str, list[str]], host: str) -> dict[str, list[str]]:
    """Headers without what differs from run to run."""
    normal = {name: [value.replace(host, "HOST") for value in values] for name, values in headers.items()}
    for name in ("x-request-id", "x-ms-request-id"):
        if name in normal:
            normal[name] = [UUID.sub("<uuid>", value) for value in normal[name]]
    if "x-ms-run-fn-exec-ms" in normal:
        normal["x-ms-run-fn-exec-ms"] = [
            re.sub(r"^\d+\.\d{3}$", "<ms>", v) for v in normal["x-ms-run-fn-exec-ms"]
        ]
    if "x-ms-server-version" in normal:
        normal["x-ms-server-version"] = ["<server>"]
    if "set-cookie" in normal:
        normal["set-cookie"] = [re.sub("Expires=[^;]*", "Expires=<date>", v) for v in normal["set-cookie"]]
    if "allow" in normal:
        normal["allow"] = sorted(item.strip() for value in normal["allow"] for item in value.split(","))
    return normal


def normal_body(body: bytes, headers: dict[str, list[str]], host: str) -> Any:
    """The body as text, as base64, as a digest if it is long; a description as an object without its prose."""
    if len(body) > LONGEST_BODY and not body.startswith(b'{"'):
        return f"sha256:{hashlib.sha256(body).hexdigest()} ({len(body)} bytes)"
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return "base64:" + base64.b64encode(body).decode()
    # The rest of the sentence is Python's, and differs from version to version.
    text = re.sub(r"(could not be decoded as JSON: )[^\"]*", r"\1...", text.replace(host, "HOST"))
    if '"paths"' in text and "application/json" in headers.get("content-type", []):
        return without_prose(json.loads(text))
    return text


def without_prose(node: Any) -> Any:
    """An OpenAPI document without its descriptions."""
    if isinstance(node, dict):
        return {key: without_prose(value) for key, value in node.items() if key != "description"}
    return [without_prose(item) for item in node] if isinstance(node, list) else node


def observe(host: str, port: int, world: World) -> dict[str, Facts]:
    """The facts of all cases of a world."""
    return {case.name: exchange(host, port, case) for case in world.cases}


def differences(expected: Facts, actual: Facts) -> dict[str, tuple[Any, Any]]:
    """What differs: ``status``, ``body``, ``chunked``, ``broken`` or ``header:<name>``, with both values."""
    found = {}
    for aspect in ("status", "body", "chunked", "broken"):
        if expected.get(aspect) != actual.get(aspect):
            found[aspect] = (expected.get(aspect), actual.get(aspect))
    for name in sorted({*expected["headers"], *actual["headers"]}):
        pair = (expected["headers"].get(name), actual["headers"].get(name))
        if pair[0] != pair[1]:
            found[f"header:{name}"] = pair
    return found
