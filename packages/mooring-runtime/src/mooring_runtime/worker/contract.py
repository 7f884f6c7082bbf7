"""What the front must know of a worker besides its input mode.

The front never reads the user's files: their settings and descriptions are reported here, once, as JSON::

    {"input", "output",            JSON schemas of the decorators; absent without decorators
     "versions": ["2.0", ...],     of OpenAPI in which that can be said
     "files": {"2": {...}},        the user's own descriptions
     "routes": ["/invocations"],   further paths that score; absent if there are none
     "batch": 32,                  the most inputs that one call of ``run`` takes; absent if it is not batched
     "settings": {...}}            see SETTINGS; only those that are set
"""

import json
import logging.config
import os
import sys

from .entry import EntryError, script_path

# Variables that Azure's server honours and that concern the front.
SETTINGS = (
    "AML_CORS_ORIGINS",
    "SCORING_TIMEOUT_MS",
    "SERVER_VERSION_LOG_RESPONSE_ENABLED",
    "SERVICE_NAME",
    "SERVICE_PATH_PREFIX",
    "SERVICE_VERSION",
)
# A file of one of these names in the app root is what the user wants to be shown; the first that is there.
DESCRIPTIONS = {
    "2": ("swagger.json", "swagger2.json"),
    "3": ("swagger3.json",),
    "3.1": ("swagger3.1.json",),
}
OWN = "mooring_contract"


def of(scorer, settings, module):
    """The contract of a script.

    Args:
        scorer: its `scoring.Scorer`.
        settings: the worker's.
        module: the script; that of a model without code describes input, output and routes itself.

    Raises:
        EntryError: a setting's value is none.
    """
    described = {"versions": ["2.0", "3.0", "3.1"]} if scorer.schema is None else scorer.schema.description()
    described.update(getattr(module, OWN, {}))
    if scorer.batch is not None:
        described["batch"] = scorer.batch
    described["files"] = descriptions(settings["app_root"])
    described["settings"] = configured(settings, os.environ)
    # Samples may hold what JSON does not know (dates, arrays).
    return json.loads(json.dumps(described, default=str))


def configured(settings, environ):
    """The `SETTINGS` that are set; a variable comes before the config file.

    Raises:
        EntryError: ``SCORING_TIMEOUT_MS`` is no number above 0.
    """
    values = dict(config_file(settings, environ))
    values.update((name, environ[name]) for name in SETTINGS if name in environ)
    chosen = {name: str(values[name]) for name in SETTINGS if values.get(name) not in (None, "")}
    if "SCORING_TIMEOUT_MS" in chosen:
        text = chosen["SCORING_TIMEOUT_MS"]
        if not text.isdigit() or not int(text):
            raise EntryError(
                "import", "SCORING_TIMEOUT_MS must be a whole number above 0, not {!r}.".format(text)
            )
        chosen["SCORING_TIMEOUT_MS"] = int(text)
    return chosen


def config_file(settings, environ):
    """The object in ``AZUREML_CONFIG_FILE``, else in ``config.json`` beside the app or the entry script.

    Raises:
        EntryError: the file is not JSON.
    """
    paths = [environ.get("AZUREML_CONFIG_FILE") or ""]
    paths += [
        os.path.join(folder, "config.json")
        for folder in (settings["app_root"], os.path.dirname(script_path(settings)))
    ]
    path = next((path for path in paths if os.path.isfile(path) and os.path.getsize(path)), None)
    if path is None:
        return {}
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
    except ValueError as exc:
        raise EntryError("import", "The configuration file {} is not JSON: {}".format(path, exc)) from exc
    return content if isinstance(content, dict) else {}


def descriptions(app_root):
    """The user's own OpenAPI files, by version; one that is not JSON is reported in the log and left out."""
    found = {}
    for version, names in DESCRIPTIONS.items():
        path = next(
            (os.path.join(app_root, n) for n in names if os.path.isfile(os.path.join(app_root, n))), None
        )
        if path is None:
            continue
        try:
            with open(path, encoding="utf-8") as file:
                found[version] = json.load(file)
        except ValueError as exc:
            sys.stderr.write("mooring: {} is not JSON and is not shown: {}\n".format(path, exc))
    return found


def configure_logging(settings):
    """Applies ``logging.json`` of the app root, or beside the entry script, as Azure's server does.

    Raises:
        EntryError: it is no logging configuration.
    """
    for folder in (settings["app_root"], os.path.dirname(script_path(settings))):
        path = os.path.join(folder, "logging.json")
        if not os.path.isfile(path):
            continue
        try:
            with open(path, encoding="utf-8") as file:
                logging.config.dictConfig(json.load(file))
        except (ValueError, TypeError, AttributeError, ImportError) as exc:
            raise EntryError("import", "{} cannot be applied: {}".format(path, exc), exc) from exc
        return
