"""Azure's ``azureml.core``, as far as it is of use where a model runs."""

__path__ = __import__("pkgutil").extend_path(__path__, __name__)

from azureml.core.model import Model

__all__ = ["Model"]
