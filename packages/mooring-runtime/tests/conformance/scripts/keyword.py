def init():
    pass


def run(*, request_headers=None, raw, extra=5):
    return [raw, extra, request_headers["Content-Type"] if "Content-Type" in request_headers else None]
