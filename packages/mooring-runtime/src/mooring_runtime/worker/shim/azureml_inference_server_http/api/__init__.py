"""Azure's ``azureml_inference_server_http.api``."""

__path__ = __import__("pkgutil").extend_path(__path__, __name__)
