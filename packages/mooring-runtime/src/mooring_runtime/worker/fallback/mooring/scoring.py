"""What an entry script may import from Mooring.

The functions only mark; the worker acts on the marks. Workers bring a copy of this file for environments
without the ``mooring`` package, so it runs on CPython 3.6 and imports nothing of ours.
"""

from typing import Any, Callable, TypeVar

BATCHED = "_mooring_batched"
LARGEST = 1024

Run = TypeVar("Run", bound=Callable[..., Any])


class BadRequest(Exception):
    """The caller's input is wrong: the answer is 400 with the exception's text as ``message``.

    Raised by ``run``, or returned in the place of a result by a batched ``run``.
    """

    mooring_status = 400


def batched(*, max_size: int = 32) -> Callable[[Run], Run]:
    """Makes ``run`` get a list of inputs and return a list of as many results, in the same order.

    Each input is what ``run(data)`` would have got. A result that is an exception fails its own request only: 400 for
    `BadRequest`, else 500. An exception that ``run`` raises fails all requests of the batch.

    Args:
        max_size: the most inputs in one call, 1 to 1024.

    Raises:
        ValueError: ``max_size`` is no such number.
    """
    if isinstance(max_size, bool) or not isinstance(max_size, int) or not 1 <= max_size <= LARGEST:
        raise ValueError("batched: max_size must be a whole number from 1 to 1024, not {!r}".format(max_size))

    def mark(run: Run) -> Run:
        setattr(run, BATCHED, max_size)
        return run

    return mark
