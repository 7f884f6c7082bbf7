"""A namespace that several distributions share, pkgutil-style as Microsoft's packages declare it."""

__path__ = __import__("pkgutil").extend_path(__path__, __name__)
