def init():
    pass


def run(data, request_headers):
    kept = {name: value for name, value in request_headers.items() if name not in ("Host", "Connection")}
    return {
        "data": data,
        "headers": kept,
        "type": type(request_headers).__name__ in ("dict", "RequestHeaders"),
    }
