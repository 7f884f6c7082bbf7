"""Azure's exceptions that an entry script may meet."""

__path__ = __import__("pkgutil").extend_path(__path__, __name__)


class AzureMLException(Exception):
    """The root of Azure's exceptions.

    Attributes:
        message: what went wrong.
    """

    def __init__(self, exception_message="", **kwargs):  # noqa: ARG002 - Azure's signature
        super().__init__(exception_message)
        self.message = exception_message


class ModelNotFoundException(AzureMLException):
    """No such model."""


class ModelPathNotFoundException(AzureMLException):
    """No such path."""
