"""``from azureml.contrib.services.aml_request import AMLRequest, rawhttp``."""

from _mooring_worker.request import Request as AMLRequest
from _mooring_worker.scoring import rawhttp

__all__ = ["AMLRequest", "rawhttp"]
