"""``from azureml_inference_server_http.api.aml_request import AMLRequest, rawhttp``."""

from _mooring_worker.request import Request as AMLRequest
from _mooring_worker.scoring import rawhttp

__all__ = ["AMLRequest", "rawhttp"]
