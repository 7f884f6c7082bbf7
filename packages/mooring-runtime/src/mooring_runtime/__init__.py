"""What runs beside a model: supervisor, front and worker."""

__version__ = "0.1.0"
