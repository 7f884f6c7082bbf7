from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mooring_runtime.serve.arguments import parser
from mooring_runtime.serve.settings import Settings, SettingsError, settle


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("score.py", "main.py", "other/deep.py"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    return tmp_path


def made(folder: Path, *flags: str, **environ: str) -> Settings:
    return settle(parser().parse_args(flags), environ, folder)


def test_defaults(folder: Path) -> None:
    found = made(folder, "score.py")
    assert (found.entry_script, found.app_root) == (folder / "score.py", folder)
    assert (found.host, found.port, found.workers, found.health_port) == ("127.0.0.1", 5001, 1, None)
    assert found.scoring_timeout_ms == 3_600_000
    assert found.python == Path(sys.executable)
    assert "AZUREML_MODEL_DIR" not in found.env


def test_flags_of_azmlinfsrv(folder: Path) -> None:
    found = made(
        folder,
        *("--entry_script", "other/deep.py", "--model_dir", "models", "--port", "0", "--worker_count", "3"),
        *("--access_control_allow_origins", "https://a", "--appinsights_instrumentation_key", "k"),
        *("--health_port", "7000"),
        SEPERATE_HEALTH_ENDPOINT="true",
    )
    assert found.entry_script == folder / "other/deep.py"
    assert found.env["AZUREML_MODEL_DIR"] == str(folder / "models")
    assert found.env["AML_CORS_ORIGINS"] == "https://a"
    assert (found.workers, found.health_port, found.port) == (3, 7000, 0)
    assert "nothing is sent" in found.notes[0]


def test_variables_before_the_config_file(folder: Path) -> None:
    config = (
        '{"AZUREML_ENTRY_SCRIPT": "deep.py", "SCORING_TIMEOUT_MS": 5, "WORKER_COUNT": 2, "SERVICE_NAME": "n"}'
    )
    (folder / "settings.json").write_text(config)
    found = made(
        folder,
        *("--config_file", "settings.json"),
        SCORING_TIMEOUT_MS="7",
        AZUREML_SOURCE_DIRECTORY="other",
        WORKER_TIMEOUT="9",
    )
    assert found.entry_script == folder / "other/deep.py"
    assert (found.scoring_timeout_ms, found.workers, found.service) == (7, 2, "n")
    assert found.init_deadline_seconds == 9
    assert found.env["AZUREML_CONFIG_FILE"] == str(folder / "settings.json")


def test_the_app_root(folder: Path) -> None:
    found = made(folder, AML_APP_ROOT="other", AZUREML_ENTRY_SCRIPT="deep.py")
    assert (found.app_root, found.entry_script) == (folder / "other", folder / "other/deep.py")
    assert made(folder).entry_script == folder / "main.py"


def test_the_active_environment(folder: Path) -> None:
    (folder / "venv/bin").mkdir(parents=True)
    (folder / "venv/bin/python").touch()
    assert made(folder, VIRTUAL_ENV=str(folder / "venv")).python == folder / "venv/bin/python"
    assert made(folder, "--python", sys.executable, VIRTUAL_ENV=str(folder / "venv")).python == Path(
        sys.executable
    )


@pytest.mark.parametrize(
    ("flags", "environ", "message"),
    [
        (["absent.py"], {}, "entry script absent.py does not exist"),
        (["--config_file", "absent.json"], {}, "config file absent.json does not exist"),
        (["score.py", "--python", "/absent/python"], {}, "no interpreter"),
        (["score.py", "--debug_port", "1", "--worker_count", "2"], {}, "One worker can be debugged"),
        (["score.py", "--debug_wait"], {}, "--debug_port"),
        (["score.py"], {"WORKER_COUNT": "no"}, "WORKER_COUNT must be a whole number above 0, not 'no'"),
    ],
)
def test_what_cannot_be_right(folder: Path, flags: list[str], environ: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        made(folder, *flags, **environ)


@pytest.mark.parametrize("flags", [["--port", "x"], ["--port", "70000"], ["--worker_count", "0"]])
def test_flags_that_are_refused(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(flags)
    assert "expected" in capsys.readouterr().err
