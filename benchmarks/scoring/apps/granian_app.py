"""The same function inside an HTTP server, and nothing else: no second process, keys, limits or metrics."""

import json

import score

score.init()


def app(environ, start_response):
    """WSGI."""
    result = score.run(environ["wsgi.input"].read())
    body = json.dumps(result).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
