"""What to serve and how: flags first, then environment variables, then the config file, then defaults."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WORKER_DIR = Path(__file__).resolve().parents[1] / "worker"
HOUR_MS = 3_600_000
DAY_SECONDS = 86_400


class SettingsError(Exception):
    """The settings cannot be right; the text says what was expected and what came."""


@dataclass(frozen=True)
class Settings:
    """What `Session` needs.

    Attributes:
        entry_script: an absolute path.
        app_root: the folder whose files belong to the script, and its working directory.
        env: the worker's environment, whole.
        tls: certificate and key, absolute paths; None for http.
        model_dir: what ``--model_dir`` names, or None.
        health_port: None unless a listener of its own is asked for.
        notes: settings that were accepted and have no effect, as sentences.
    """

    entry_script: Path
    app_root: Path
    source_directory: str | None
    python: Path
    host: str
    port: int
    tls: tuple[Path, Path] | None
    health_port: int | None
    workers: int
    scoring_timeout_ms: int
    init_deadline_seconds: float
    service: str
    reload: bool
    model_dir: Path | None
    env: Mapping[str, str]
    notes: tuple[str, ...]

    def revision(self, number: int) -> dict[str, Any]:
        """The revision of a supervisor's spec."""
        return {
            "id": str(number),
            "python": str(self.python),
            "worker_dir": str(WORKER_DIR),
            "app_root": str(self.app_root),
            "entry_script": str(self.entry_script),
            "source_directory": self.source_directory,
            "env": dict(self.env),
            "workers": self.workers,
            "init_deadline_seconds": self.init_deadline_seconds,
        }

    def spec(self, number: int) -> dict[str, Any]:
        """The supervisor's spec."""
        return {
            "service": self.service,
            "generation": number,
            "host": self.host,
            "port": self.port,
            "tls": None if self.tls is None else {"certificate": str(self.tls[0]), "key": str(self.tls[1])},
            "scoring_timeout_ms": self.scoring_timeout_ms,
            "max_queue_wait_ms": self.scoring_timeout_ms,
            "revision": self.revision(number),
        }


def settle(given: argparse.Namespace, environ: Mapping[str, str], here: Path) -> Settings:
    """The settings of a call.

    Args:
        given: the flags.
        environ: the environment variables.
        here: the current directory.

    Raises:
        SettingsError: see there.
    """
    root = (here / environ.get("AML_APP_ROOT", ".")).resolve()
    env = dict(environ)
    config = given.config_file or environ.get("AZUREML_CONFIG_FILE")
    if config:
        if not (here / config).is_file():
            raise SettingsError(f"The config file {config} does not exist.")
        env["AZUREML_CONFIG_FILE"] = str((here / config).resolve())
    value = _Values(environ, _config(env.get("AZUREML_CONFIG_FILE"), root))
    source = value.get("AZUREML_SOURCE_DIRECTORY")
    script = _entry_script(given, value, here, root, source)
    env["PYTHONNOUSERSITE"] = environ.get("PYTHONNOUSERSITE", "")
    model_dir = (here / given.model_dir).resolve() if given.model_dir is not None else None
    if model_dir is not None:
        env["AZUREML_MODEL_DIR"] = str(model_dir)
    if given.access_control_allow_origins is not None:
        env["AML_CORS_ORIGINS"] = given.access_control_allow_origins
    if given.log_format is not None:
        env["MOORING_LOG_FORMAT"] = given.log_format
    if given.debug_port is not None:
        env["MOORING_DEBUG_PORT"] = str(given.debug_port)
        env["MOORING_DEBUG_WAIT"] = "1" if given.debug_wait else ""
    debugging = bool(given.debug_port is not None or environ.get("AZUREML_DEBUG_PORT"))
    workers = given.worker_count or value.number("WORKER_COUNT", 1)
    if debugging and workers > 1:
        raise SettingsError(f"One worker can be debugged at a time, not {workers}: use --worker_count 1.")
    if given.debug_wait and given.debug_port is None:
        raise SettingsError("--debug_wait needs --debug_port.")
    separate = environ.get("SEPERATE_HEALTH_ENDPOINT", "").lower() == "true"
    deadline = float(value.number("WORKER_TIMEOUT", 300))
    return Settings(
        entry_script=script,
        app_root=root,
        source_directory=source,
        python=_python(given.python, environ),
        host=given.host,
        port=given.port,
        tls=_tls(given, here),
        health_port=given.health_port if separate else None,
        workers=workers,
        # At a breakpoint time does not count.
        scoring_timeout_ms=DAY_SECONDS * 1000 if debugging else value.number("SCORING_TIMEOUT_MS", HOUR_MS),
        init_deadline_seconds=float(DAY_SECONDS) if debugging else deadline,
        service=value.get("SERVICE_NAME") or "ML service",
        reload=given.reload,
        model_dir=model_dir,
        env=env,
        notes=_notes(given, value),
    )


class _Values:
    def __init__(self, environ: Mapping[str, str], config: Mapping[str, Any]) -> None:
        self._environ = environ
        self._config = config

    def get(self, name: str) -> str | None:
        value = self._environ.get(name) or self._config.get(name)
        return None if value is None else str(value)

    def number(self, name: str, default: int) -> int:
        text = self.get(name)
        if text is None:
            return default
        if not text.isdigit() or int(text) < 1:
            raise SettingsError(f"{name} must be a whole number above 0, not {text!r}.")
        return int(text)


def _config(path: str | None, root: Path) -> Mapping[str, Any]:
    file = Path(path) if path else root / "config.json"
    if not file.is_file() or not file.stat().st_size:
        return {}
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as exc:
        raise SettingsError(f"The config file {file} is not JSON: {exc}") from exc
    if not isinstance(content, dict):
        raise SettingsError(f"The config file {file} must hold a JSON object.")
    return content


def _entry_script(
    given: argparse.Namespace, value: _Values, here: Path, root: Path, source: str | None
) -> Path:
    """The script: flags are relative to where the command runs, settings to the app root, as in Azure's."""
    named: str | None = given.entry_script or given.script
    if named is not None:
        candidates = [here / named]
    else:
        named = value.get("AZUREML_ENTRY_SCRIPT") or "main.py"
        candidates = [root / (source or ".") / named, root / named, here / named]
    for candidate in candidates:
        if candidate.is_file():
            return candidate.resolve()
    raise SettingsError(
        f"The entry script {named} does not exist in {candidates[0].parent}. "
        "Name one: mooring-serve score.py --model_dir ."
    )


def _tls(given: argparse.Namespace, here: Path) -> tuple[Path, Path] | None:
    files = (given.ssl_cert_pem_file, given.ssl_key_pem_file)
    if files == (None, None):
        return None
    if None in files:
        raise SettingsError("Give both --ssl_cert_pem_file and --ssl_key_pem_file.")
    return here / files[0], here / files[1]


def _python(given: Path | None, environ: Mapping[str, str]) -> Path:
    """The interpreter asked for, else that of the active virtual or conda environment, else this one."""
    if given is not None:
        if not given.exists():
            raise SettingsError(f"There is no interpreter {given}.")
        # Not resolved: a virtual environment's python is a link, and only by that name it is one.
        return Path.cwd() / Path(given)
    for name in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        if environ.get(name):
            python = Path(environ[name]) / "bin" / "python"
            if python.exists():
                return python
    return Path(sys.executable)


def _notes(given: argparse.Namespace, value: _Values) -> tuple[str, ...]:
    notes = []
    asked = (value.get("AML_APP_INSIGHTS_ENABLED") or "").lower() == "true"
    if given.appinsights_instrumentation_key or asked or value.get("AML_APP_INSIGHTS_KEY"):
        notes.append("Application Insights settings are accepted; nothing is sent there.")
    if (value.get("AML_MODEL_DC_STORAGE_ENABLED") or "").lower() == "true":
        notes.append(
            "ModelDataCollector writes below AML_MODEL_DC_STORAGE if that is a path, else into modeldata."
        )
    if (value.get("WORKER_PRELOAD") or "").lower() == "true":
        notes.append("WORKER_PRELOAD has no effect: every worker loads the script itself.")
    return tuple(notes)
