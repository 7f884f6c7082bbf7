"""Scoring with its output told apart by request: see `records`."""

from .scoring import Scorer


class RecordedScorer(Scorer):
    """A `Scorer` whose requests are published.

    Args:
        run: the function.
        termination: see `Scorer`.
        records: a `Records`.
    """

    def __init__(self, run, termination, records):
        super().__init__(run, termination)
        self._records = records

    def _guarded(self, call, request_id):
        self._records.begin(request_id)
        try:
            answer = super()._guarded(call, request_id)
        except BaseException:
            self._records.end()
            raise
        if self.stream is None:
            self._records.end()
        else:
            self.stream = Parts(self.stream, self._records)
        return answer

    def _together(self, inputs):
        self._records.begin(", ".join(request_id for _, request_id, _ in inputs))
        try:
            return super()._together(inputs)
        finally:
            self._records.end()

    def log(self, request_id, what, trace):  # noqa: ARG002 - the id is in every record
        """One record, with the traceback."""
        self._records.write("{}\n{}".format(what, trace.rstrip()), level="ERROR", logger="mooring")


class Parts:
    """A streamed body; the request ends with it."""

    def __init__(self, parts, records):
        self._parts = parts
        self._records = records

    def __iter__(self):
        return self

    def __next__(self):
        return next(self._parts)

    def close(self):
        """Closes the body."""
        try:
            self._parts.close()
        finally:
            self._records.end()
