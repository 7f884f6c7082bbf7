"""``from azureml.monitoring import ModelDataCollector``."""

from _mooring_worker.model_data import ModelDataCollector

__all__ = ["ModelDataCollector"]
