"""Requirements of a logged model that cannot be fulfilled, through MLflow's deployments client."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from mlflow_support import MlflowClient
from sklearn.linear_model import Ridge
from support import RunningServer
from test_mlflow_model import X, save

# The model's folder is in the working directory.
REFUSED = """
import sys
from mlflow.deployments import get_deploy_client
from mlflow.exceptions import MlflowException
from azureml.core import Workspace

client = get_deploy_client(Workspace("sub", "rg", "ws").get_mlflow_tracking_uri())
try:
    client.create_deployment(sys.argv[1], "ridge")
except MlflowException as error:
    print("refused:", error.error_code, error)
else:
    raise AssertionError("it was deployed")
finally:
    client.delete_deployment(sys.argv[1])
"""


@pytest.mark.full
def test_the_exception_says_which_package_and_what_there_is(server: RunningServer, tmp_path: Path) -> None:
    folder = save(tmp_path / "ridge", Ridge().fit(X, X[:, 0]))
    pins = (folder / "requirements.txt").read_text()
    client = MlflowClient(Path(sys.executable), server, tmp_path)

    (folder / "requirements.txt").write_text(f"{pins}\nsix==1.15.5\n")
    text = client.run(REFUSED, "no-such-version").partition("refused: ")[2]
    assert text.startswith("INVALID_PARAMETER_VALUE ")
    assert "six==1.15.5: there is no such version; the nearest with wheels are 1.15.0 and 1.16.0" in text
    assert "cause: PackagesNotResolved in phase Resolve" in text
    assert "resolver:\n" in text
    assert "hint: " in text

    (folder / "requirements.txt").write_text(f"{pins}\nno-such-package-of-mooring\n")
    text = client.run(REFUSED, "no-such-package").partition("refused: ")[2]
    assert text.startswith("INVALID_PARAMETER_VALUE ")
    assert "no-such-package-of-mooring: the package index has no" in text
    assert "spelling" in text
