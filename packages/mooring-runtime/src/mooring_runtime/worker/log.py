"""The worker's own words in the log, whatever user code makes of ``sys.stderr``."""

import os

_write = os.write
# A copy: user code may close or redirect 2.
_FD = os.dup(2)


def write(text):
    """Writes ``text`` at once."""
    data = text.encode("utf-8", "backslashreplace")
    try:
        while data:
            data = data[_write(_FD, data) :]
    except OSError:
        return  # user code has closed this one, too: there is no log any more
