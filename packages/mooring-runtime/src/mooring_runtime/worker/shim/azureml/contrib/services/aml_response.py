"""``from azureml.contrib.services.aml_response import AMLResponse``."""

from _mooring_worker.http import Response as AMLResponse

__all__ = ["AMLResponse"]
