"""Azure Machine Learning names, served by Mooring."""

from azureml.core import _guard

_guard.check()

from azureml.core._version import VERSION  # noqa: E402 - nothing may be imported before the check
from mooring.sdk.compute import ComputeTarget  # noqa: E402
from mooring.sdk.conda_dependencies import CondaDependencies  # noqa: E402
from mooring.sdk.container_registry import ContainerRegistry  # noqa: E402
from mooring.sdk.environment import Environment  # noqa: E402
from mooring.sdk.experiment import Experiment  # noqa: E402
from mooring.sdk.image import Image  # noqa: E402
from mooring.sdk.model import Model  # noqa: E402
from mooring.sdk.run import Run  # noqa: E402
from mooring.sdk.runconfig import DockerConfiguration  # noqa: E402
from mooring.sdk.webservice import Webservice  # noqa: E402
from mooring.sdk.workspace import Workspace  # noqa: E402

__version__ = VERSION

__all__ = [
    "VERSION",
    "ComputeTarget",
    "CondaDependencies",
    "ContainerRegistry",
    "DockerConfiguration",
    "Environment",
    "Experiment",
    "Image",
    "Model",
    "Run",
    "Webservice",
    "Workspace",
    "__version__",
]
