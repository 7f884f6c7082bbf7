"""``from azureml.core.model import Model``: where a deployed model's files are."""

import os

from azureml.exceptions import ModelNotFoundException

__all__ = ["Model"]

MODELS = "azureml-models"


class Model:
    """A registered model, seen from inside a service."""

    @staticmethod
    def get_model_path(model_name, version=None, _workspace=None):
        """The path of a model's file or folder.

        ``azureml-models/<name>/<version or the highest>`` must hold exactly one entry, which is the answer;
        otherwise ``./<name>`` if it exists (Azure's rule).

        Args:
            model_name: the name the model was registered with.
            version: a whole number; the highest deployed one by default.

        Raises:
            ModelNotFoundException: there is no such model in this service.
            TypeError: ``version`` is not a whole number.
        """
        if version is not None and not isinstance(version, int):
            raise TypeError("version must be a whole number, not {!r}".format(version))
        root = os.environ.get("AML_APP_ROOT") or os.getcwd()
        folder = os.path.join(root, MODELS, model_name)
        chosen = version
        if chosen is None:
            chosen = max((int(entry) for entry in listing(folder) if entry.isdigit()), default=None)
        found = [] if chosen is None else listing(os.path.join(folder, str(chosen)))
        if len(found) == 1:
            return os.path.join(folder, str(chosen), found[0])
        if version is None:
            for base in (root, os.getcwd()):
                local = os.path.join(base, model_name)
                if os.path.exists(local):
                    return local
        raise ModelNotFoundException(explanation(root, model_name, version, found))


def listing(folder):
    """The entries of a folder; none if there is no such folder."""
    return sorted(os.listdir(folder)) if os.path.isdir(folder) else []


def explanation(root, name, version, found):
    """A sentence that says what was looked for and what is there."""
    wanted = name if version is None else "{}:{}".format(name, version)
    if len(found) > 1:
        return "Model {} has several entries ({}), where one was expected.".format(wanted, ", ".join(found))
    deployed = listing(os.path.join(root, MODELS))
    names = ", ".join(deployed) or "none"
    return "Model {} is not deployed with this service. Deployed: {}.".format(wanted, names)
