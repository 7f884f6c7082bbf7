"""The Azure Machine Learning v1 workflow on your own hardware."""

__version__ = "0.1.0"
