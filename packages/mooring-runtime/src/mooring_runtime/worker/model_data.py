"""``ModelDataCollector``: what a script scores and answers, kept as CSV files.

The names, columns, variables and paths are those of Azure's ``azureml-monitoring``. Where that writes to a storage
account, this writes to a folder. Nothing here ever fails a request: what cannot be kept is told in the log.
"""

import csv
import fcntl
import io
import os
import sys
import uuid
from datetime import datetime, timezone

from . import log

CORRELATION = "$aml_dc_correlation_id"
ADDED = (
    CORRELATION,
    "$aml_dc_scoring_timestamp",
    "$aml_dc_boundary",
    "$aml_workspace",
    "$aml_service_name",
    "$aml_model_name",
    "$aml_model_version",
    "$aml_request_id",
)
FILE = "data.csv"
MAX_CALL = 1 << 20
MAX_CELLS = 100000
# Of a day, a model and a designation.
MAX_FILE = 256 << 20
DAYS = 30
DEFAULT = "default"


def enabled():
    """Whether data is kept: ``AML_MODEL_DC_STORAGE_ENABLED``."""
    return os.environ.get("AML_MODEL_DC_STORAGE_ENABLED", "").lower() == "true"


def folder():
    """Where it is kept: ``AML_MODEL_DC_STORAGE`` if that is a path, else ``modeldata`` in the app root."""
    named = os.environ.get("AML_MODEL_DC_STORAGE", "")
    if os.path.isabs(named):
        return named
    return os.path.join(os.environ.get("AML_APP_ROOT", "."), "modeldata")


class Correlated(list):
    """Rows with the correlation ids of the inputs they belong to.

    Attributes:
        ids: one for each row.
    """

    def __init__(self, rows, ids):
        list.__init__(self, rows)
        self.ids = ids


class ModelDataCollector:
    """Keeps what a model was given or has answered.

    Args:
        model_name: part of the path.
        designation: ``inputs``, ``predictions``, ``labels``, ``signals`` or ``general``.
        feature_names: the columns' names; those of a DataFrame, or numbers, by default.
        workspace, webservice_name, model_version: parts of the path; ``default`` for what the environment says.
        collection_name: a part of the path before the date; none by default.
    """

    def __init__(
        self,
        model_name,
        designation=DEFAULT,
        feature_names=None,
        workspace=DEFAULT,
        webservice_name=DEFAULT,
        model_version=DEFAULT,
        collection_name=DEFAULT,
    ):
        known = os.environ.get
        self._designation = "general" if designation == DEFAULT else str(designation)
        self._names = None if feature_names is None else [str(name) for name in feature_names]
        self._facts = {
            "$aml_dc_boundary": known("AML_MODEL_DC_BOUNDARY", ""),
            "$aml_workspace": chosen(workspace, known("AZUREML_ARM_WORKSPACE_NAME")),
            "$aml_service_name": chosen(webservice_name, known("SERVICE_NAME")),
            "$aml_model_name": str(model_name),
            "$aml_model_version": chosen(model_version, None),
        }
        named = (
            known("AZUREML_ARM_SUBSCRIPTION") or DEFAULT,
            known("AZUREML_ARM_RESOURCEGROUP") or DEFAULT,
            self._facts["$aml_workspace"],
            self._facts["$aml_service_name"],
            self._facts["$aml_model_name"],
            self._facts["$aml_model_version"],
            self._designation,
        )
        if collection_name != DEFAULT:
            named += (str(collection_name),)
        self._path = os.path.join(folder(), *[part(name) for name in named])
        self._told = False

    def collect(self, input_data, user_correlation_id=""):
        """Keeps rows: a list, a NumPy array, a pandas or Spark DataFrame.

        Args:
            input_data: one row or several.
            user_correlation_id: the caller's name for the rows; made up by default.

        Returns:
            For inputs the correlation ids, one for each row, for `add_correlations`; else None.
        """
        try:
            rows, names = table(input_data, self._names)
            ids = getattr(input_data, "ids", None) or column_of_ids(names, rows)
            if ids is None:
                ids = [str(user_correlation_id) or str(uuid.uuid4()) for _ in rows]
            self._keep(rows, names, ids)
        except Exception as exc:  # noqa: BLE001 - user data, a full disk: no reason to fail a request
            self._tell("model data was not kept: {}: {}".format(type(exc).__name__, exc))
            return None
        return ids if self._designation == "inputs" else None

    def add_correlations(self, input_data, correlations):
        """The rows with the ids that `collect` has given for their inputs; for another collector's `collect`."""
        if correlations is None:
            return input_data
        if hasattr(input_data, "columns") and hasattr(input_data, "assign"):
            return input_data.assign(**{CORRELATION: list(correlations)})
        return Correlated(table(input_data, None, len(correlations))[0], list(correlations))

    def _keep(self, rows, names, ids):
        debug = os.environ.get("AML_MODEL_DC_DEBUG", "").lower() == "true"
        if not debug and not enabled():
            return
        now = datetime.now(timezone.utc)
        added = dict(self._facts)
        added["$aml_dc_scoring_timestamp"] = now.isoformat()
        head = [name for name in names if name != CORRELATION] + list(ADDED)
        lines = []
        for number, row in enumerate(rows):
            added[CORRELATION] = ids[number] if number < len(ids) else ""
            values = [value for name, value in zip(names, row) if name != CORRELATION]  # noqa: B905 - rows may be shorter; 3.6 has no strict
            lines.append(values + [added.get(name, "") for name in ADDED])
        if debug:
            sys.stdout.write(written([head, *lines]))
        if enabled():
            self._append(now, written([head]).encode("utf-8"), written(lines).encode("utf-8"))

    def _append(self, now, head, data):
        if len(data) > MAX_CALL:
            raise ValueError("{} bytes at once, {} are kept".format(len(data), MAX_CALL))
        day = os.path.join(self._path, now.strftime("%Y"), now.strftime("%m"), now.strftime("%d"))
        path = os.path.join(day, FILE)
        if not os.path.isdir(day):
            os.makedirs(day, exist_ok=True)
            forget(self._path)
        # The workers of a service share the file.
        with open(path, "ab", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            size = os.fstat(file.fileno()).st_size
            if size + len(data) > MAX_FILE:
                raise OSError(
                    "{} has reached {} bytes; the rest of the day is left out".format(path, MAX_FILE)
                )
            file.write(data if size else head + data)

    def _tell(self, what):
        if not self._told:
            self._told = True
            log.write("mooring: {} (told once)\n".format(what))


def forget(path):
    """Removes the oldest days."""
    days = sorted(os.path.join(place, FILE) for place, _, files in os.walk(path) if FILE in files)
    for old in days[: -DAYS + 1]:
        os.unlink(old)
        os.removedirs(os.path.dirname(old))


def chosen(given, known):
    """What the script says, else what the environment says, else ``default``."""
    return str(given) if given != DEFAULT else known or DEFAULT


def part(name):
    """A name as one part of a path."""
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in name).lstrip(".") or "_"


def table(data, names, count=None):
    """Rows and column names of a list, an array or a DataFrame.

    Args:
        data: plain values are one row; or ``count`` rows, if they are so many.
        names: of the columns; None for numbers.
        count: how many rows are expected.

    Raises:
        TypeError: it is none of them.
        ValueError: it is too much for one call.
    """
    if hasattr(data, "toPandas"):
        data = data.toPandas()
    if hasattr(data, "columns") and hasattr(data, "values"):
        names = [str(name) for name in data.columns]
        rows = data.values.tolist()
    else:
        rows = data.tolist() if hasattr(data, "tolist") else data
        if not isinstance(rows, (list, tuple)):
            raise TypeError("a list, an array or a DataFrame is expected, not {}".format(type(data).__name__))
        if not all(isinstance(row, (list, tuple)) for row in rows):
            rows = [[value] for value in rows] if len(rows) == count else [list(rows)]
    width = max([len(row) for row in rows] or [0])
    if width * len(rows) > MAX_CELLS:
        raise ValueError("{} rows at once; {} values are kept".format(len(rows), MAX_CELLS))
    names = list(names or ())[:width]
    return rows, names + [str(number) for number in range(len(names), width)]


def column_of_ids(names, rows):
    """The ids in a DataFrame that `ModelDataCollector.add_correlations` has made; None if it is none."""
    if CORRELATION not in names:
        return None
    place = names.index(CORRELATION)
    return [row[place] for row in rows]


def written(rows):
    """Rows as CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
