"""The names of Azure's inference server that entry scripts import; the rest of a real one stays importable."""

__path__ = __import__("pkgutil").extend_path(__path__, __name__)
