import json

from azureml_inference_server_http.api.aml_request import AMLRequest, rawhttp
from azureml_inference_server_http.api.aml_response import AMLResponse

assert AMLRequest is not None


def init():
    pass


@rawhttp
def run(request, request_headers):
    return DO[request.args.get("do", "describe")](request, request_headers)


def describe(request, request_headers):
    headers = {name: value for name, value in request.headers.items() if name not in ("Host", "Connection")}
    return {
        "method": request.method,
        "path": request.path,
        "full_path": request.full_path,
        "url": request.url.replace(request.host, "HOST"),
        "base_url": request.base_url.replace(request.host, "HOST"),
        "url_root": request.url_root.replace(request.host, "HOST"),
        "query_string": request.query_string.decode(),
        "scheme": request.scheme,
        "is_secure": request.is_secure,
        "args": request.args,
        "lists": {key: request.args.getlist(key) for key in request.args},
        "headers": headers,
        "same_headers": dict(request.headers) == dict(request_headers),
        "content_type": request.content_type,
        "mimetype": request.mimetype,
        "mimetype_params": request.mimetype_params,
        "content_length": request.content_length,
        "is_json": request.is_json,
        "cookies": request.cookies,
        "remote_addr": request.remote_addr,
        "user_agent": request.user_agent.string,
        "text": request.get_data(as_text=True),
    }


def names(request, request_headers):
    return {
        "any_case": [
            request.headers["x-custom"],
            request.headers.get("X-CUSTOM"),
            "X-custom" in request.headers,
        ],
        "absent": [request.headers.get("X-Absent"), request.headers.get("X-Absent", "d")],
        "number": request.headers.get("X-Number", type=int),
        "pairs": [[name, value] for name, value in request.headers if name.startswith("X-")],
        "args": [
            request.args.get("n", type=int),
            request.args.get("s", 7, type=int),
            request.args.get("none"),
        ],
        "to_dict": [request.args.to_dict(), request.args.to_dict(flat=False)],
        "getlist": request.args.getlist("n", type=int),
        "items": [list(pair) for pair in request.args.items(multi=True)],
    }


def form(request, request_headers):
    return {
        "form": request.form,
        "lists": {key: request.form.getlist(key) for key in request.form},
        "values": {key: request.values.getlist(key) for key in sorted(request.values)},
        "files": {
            key: [
                [f.filename, f.name, f.content_type, f.mimetype, f.read().decode("latin-1"), bool(f)]
                for f in request.files.getlist(key)
            ]
            for key in request.files
        },
        "data_after": request.get_data(as_text=True),
        "data": request.data.decode("latin-1"),
    }


def data_first(request, request_headers):
    first = request.get_data()
    return [first.decode("latin-1"), request.form, request.get_data().decode("latin-1")]


def stream(request, request_headers):
    return [request.stream.read(3).decode(), request.stream.read().decode(), request.get_data().decode()]


def get_json(request, request_headers):
    return {"json": request.json, "again": request.get_json()}


def forced(request, request_headers):
    return [request.get_json(force=True, silent=True), request.get_json(silent=True)]


def absent_argument(request, request_headers):
    return request.args["absent"]


def exploding(parts, then):
    yield from parts
    raise ValueError(then)


def cookie(request, request_headers):
    response = AMLResponse("cookie", 200)
    response.set_cookie("a", "b", max_age=5, httponly=True)
    return response


def changed(request, request_headers):
    response = AMLResponse("text", 200)
    response.headers["X-Set"] = "1"
    response.headers.add("X-Set", "2")
    response.mimetype = "text/plain"
    response.status_code = 202
    response.data = b"other"
    return response


def own_error(request, request_headers):
    raise RuntimeError("in raw")


def answer(*positional, **named):
    return lambda request, request_headers: AMLResponse(*positional, **named)


DO = {
    "describe": describe,
    "names": names,
    "form": form,
    "data_first": data_first,
    "stream": stream,
    "json": get_json,
    "forced": forced,
    "absent_argument": absent_argument,
    "cookie": cookie,
    "changed": changed,
    "own_error": own_error,
    "text": answer("text", 200),
    "keyword": answer(message="text", status_code=201, response_headers={"X-A": "1"}),
    "bytes": answer(b"\xff\x00abc", 200),
    "bytes_typed": answer(b"\x89PNG", 200, {"Content-Type": "image/png"}),
    "empty": answer("", 200),
    "none": answer(None, 200),
    "none_created": answer(None, 201),
    "json_str": answer({"a": [1, None]}, 200, json_str=True),
    "json_str_text": answer("quoted", 200, json_str=True),
    "json_str_number": answer(5, 200, json_str=True),
    "json_str_bytes": answer(b"x", 200, json_str=True),
    "json_str_typed": answer({"a": 1}, 200, {"Content-Type": "application/geo+json"}, True),
    "dict": answer({"a": 1}, 200),
    "list_of_text": answer(["a", "b"], 200),
    "list_of_bytes": answer([b"a", b"\xff"], 200),
    "number_message": answer(5, 200),
    "headers": answer("h", 200, {"X-One": "1", "X-Many": "a, b,c", "Cache-Control": "no-store"}),
    "lower_type": answer("h", 200, {"content-type": "text/plain"}),
    "number_header": answer("h", 200, {"X-N": 5}),
    "newline_header": answer("h", 200, {"X-N": "a\nb"}),
    "own_id": answer("h", 200, {"x-ms-request-id": "mine"}),
    "bad": answer("bad request", 400),
    "teapot": answer("short and stout", 418),
    "no_content": answer("", 204),
    "not_modified": answer("", 304),
    "broken": answer("broken", 500),
    "unavailable": answer("later", 503, {"Retry-After": "7"}),
    "failed": answer("hm", 200, run_function_failed=True),
    "failed_bad": answer({"e": 1}, 400, {}, True, True),
    "redirect": answer("", 302, {"Location": "/elsewhere"}),
    "status_text": answer("s", "201 CREATED"),
    "generator": lambda request, _: AMLResponse((f"part {n}\n" for n in range(3)), 200),
    "generator_bytes": lambda request, _: AMLResponse(
        iter([b"\xff", b"", b"\xfe"]), 200, {"Content-Type": "a/b"}
    ),
    "generator_empty": lambda request, _: AMLResponse(iter(()), 200),
    "generator_sized": lambda request, _: AMLResponse(iter(["abc", "def"]), 200, {"Content-Length": "6"}),
    "generator_error": lambda request, _: AMLResponse(iter(["bad"]), 500),
    "generator_raises_first": lambda request, _: AMLResponse(exploding([], "first"), 200),
    "generator_raises_later": lambda request, _: AMLResponse(exploding(["a", "b"], "later"), 200),
    "big": lambda request, _: AMLResponse(request.get_data() * 2, 200),
    "string": lambda request, _: "string",
    "plain_none": lambda request, _: None,
    "plain_dict": lambda request, _: {"a": 1},
    "plain_json": lambda request, _: json.dumps({"a": 1}),
    "unserialisable": lambda request, _: {1},
}
