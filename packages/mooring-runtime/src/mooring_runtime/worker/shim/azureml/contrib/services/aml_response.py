"""``from azureml.contrib.services.aml_response import AMLResponse``."""

from _mooring_worker.response import Response as AMLResponse

__all__ = ["AMLResponse"]
