"""The SDK: Azure Machine Learning v1 classes over Mooring's native API."""
