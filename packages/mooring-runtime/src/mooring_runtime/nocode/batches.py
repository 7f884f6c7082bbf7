"""Several requests in one call of a model."""

import sys
import traceback

import numpy


class Job:
    """One request, ready for the model.

    Args:
        call: gives the result for ``data``.
        data: what ``call`` takes.
        wrap: makes the answer of a result.
        group: requests of one group may share a call: their ``data`` are arrays that can be put one below
            the other, and the result has as many rows. None for a request that is called alone.
    """

    __slots__ = ("call", "data", "group", "wrap")

    def __init__(self, call, data, wrap, group=None):
        self.call = call
        self.data = data
        self.wrap = wrap
        self.group = group

    def answer(self):
        """The request's answer, or the exception that it ends with."""
        try:
            return self.wrap(self.call(self.data))
        except Exception as exc:  # noqa: BLE001 - the model's; the worker reports it to this caller alone
            return exc


def run(read, texts):
    """The answers to requests, in their order; an exception stands for a request that failed.

    Args:
        read: gives the `Job` of a body.
        texts: the bodies.
    """
    answers = [None] * len(texts)
    groups = {}
    for place, text in enumerate(texts):
        try:
            job = read(text)
        except Exception as exc:  # noqa: BLE001 - see `Job.answer`
            answers[place] = exc
            continue
        groups.setdefault(("alone", place) if job.group is None else job.group, []).append((place, job))
    for members in groups.values():
        together = shared([job for _, job in members]) if len(members) > 1 else None
        for number, (place, job) in enumerate(members):
            answers[place] = job.answer() if together is None else together[number]
    return answers


def shared(jobs):
    """The answers of one call for all; None if it fails, as one bad request must not fail the others."""
    try:
        result = jobs[0].call(numpy.concatenate([job.data for job in jobs]))
        lengths = [len(job.data) for job in jobs]
        parts = split(result, lengths)
        return None if parts is None else [job.wrap(part) for job, part in zip(jobs, parts)]
    except Exception:  # noqa: BLE001 - each request is now called alone and reports its own error
        sys.stderr.write(
            "mooring: a call for {} requests failed; they are called one by one: {}\n".format(
                len(jobs), traceback.format_exc(limit=0).strip().splitlines()[-1]
            )
        )
        return None


def split(result, lengths):
    """A result in parts of so many rows; None if it has another number of rows."""
    if isinstance(result, dict):
        columns = {name: split(value, lengths) for name, value in result.items()}
        if any(parts is None for parts in columns.values()):
            return None
        return [{name: parts[i] for name, parts in columns.items()} for i in range(len(lengths))]
    # A list may be one array an output; a list of objects is what ONNX classifiers give, one a row.
    rows = result.ndim > 0 if isinstance(result, numpy.ndarray) else is_records(result)
    if not rows or len(result) != sum(lengths):
        return None
    parts, start = [], 0
    for length in lengths:
        parts.append(result[start : start + length])
        start += length
    return parts


def is_records(result):
    """Whether a result is a list of objects."""
    return isinstance(result, list) and all(isinstance(item, dict) for item in result)
