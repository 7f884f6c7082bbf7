"""``from azureml.contrib.services.aml_request import AMLRequest, rawhttp``."""

from _mooring_worker.http import Request as AMLRequest
from _mooring_worker.scoring import RAW_MARK

__all__ = ["AMLRequest", "rawhttp"]


def rawhttp(function):
    """Makes ``run`` get the HTTP request itself instead of its body."""
    setattr(function, RAW_MARK, True)
    return function
