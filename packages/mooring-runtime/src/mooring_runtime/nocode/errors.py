"""What callers are told about their requests."""

import difflib


class Refused(Exception):
    """The request cannot be scored; its text is the answer's message.

    Attributes:
        mooring_status: the answer's HTTP status, for the worker.
    """

    mooring_status = 400


def nearest(word, known):
    """`` Did you mean 'predict'?``, to follow a sentence, if one of ``known`` is near."""
    found = difflib.get_close_matches(str(word), [str(name) for name in known], 1)
    return " Did you mean {!r}?".format(found[0]) if found else ""


def listed(names, limit=20):
    """Names for a sentence, the first ones of many."""
    names = [str(name) for name in names]
    more = ", ... ({} in all)".format(len(names)) if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def shown(value):
    """A value for a sentence."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
