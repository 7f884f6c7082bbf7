"""The classes that a ``logging.json`` of the user may name."""

import logging
import time


class RootAccessFilter(logging.Filter):
    """Keeps health probes out of an access log."""

    def filter(self, record):
        """Whether to write the record."""
        return "GET / HTTP/1.1" not in record.getMessage()


class AMLLogFormatter(logging.Formatter):
    """Times in UTC."""

    converter = time.gmtime

    def __init__(
        self, fmt="%(asctime)s %(levelname).1s [%(process)d] %(name)s - %(message)s", datefmt=None, style="%"
    ):
        super().__init__(fmt=fmt, datefmt=datefmt, style=style)
