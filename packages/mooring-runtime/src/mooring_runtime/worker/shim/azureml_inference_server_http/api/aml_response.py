"""``from azureml_inference_server_http.api.aml_response import AMLResponse``."""

from _mooring_worker.response import Response as AMLResponse

__all__ = ["AMLResponse"]
