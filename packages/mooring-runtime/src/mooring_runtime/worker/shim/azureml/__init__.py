"""The few ``azureml`` names that entry scripts import; on the path of worker processes only."""

# Other packages that live below this name go on working beside ours.
__path__ = __import__("pkgutil").extend_path(__path__, __name__)
