"""Mistakes in what is deployed: scripts, packages, conda files, `init()`."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import sys
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from bad_input import BASE, NAME, Desk, Expected, Problem
from support import RunningServer

from azureml.core import Environment
from azureml.core.model import InferenceConfig, Model
from azureml.exceptions import AzureMLException, UserErrorException, WebserviceException
from mooring.cli import waiting
from mooring.cli.session import Session

PYTHON = "{}.{}".format(*sys.version_info[:2])
RUN = "\ndef run(data):\n    return data\n"
GOOD = "def init():\n    pass\n" + RUN
SERVICE = "bad-service"


@pytest.fixture
def desk(server: RunningServer, sdk_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "score.py").write_text(GOOD)
    (tmp_path / "myenv.yml").write_text(f"name: e\ndependencies:\n- python={PYTHON}\n")
    made = Desk(server, tmp_path)
    if not made.state()["models"]:
        (tmp_path / "weights.txt").write_text("1")
        Model.register(made.ws, str(tmp_path / "weights.txt"), NAME)
    return made


def deploy(desk: Desk, script: str = "score.py", environment: Environment | None = None) -> Any:
    config = (
        InferenceConfig(script, environment=environment)
        if environment is not None
        else InferenceConfig(script, runtime="python", conda_file="myenv.yml")
    )
    service = Model.deploy(desk.ws, SERVICE, [Model(desk.ws, NAME)], config)
    service.wait_for_deployment()
    return service


def command(desk: Desk, script: str = "score.py", environment: Environment | None = None) -> list[str]:
    """The arguments of the command that does the same as `deploy`."""
    config: dict[str, Any] = {"entryScript": script}
    if environment is not None:
        environment.save_to_directory("saved", overwrite=True)
        config["environment"] = json.loads(Path("saved/azureml_environment.json").read_text())
    else:
        config |= {"runtime": "python", "condaFile": "myenv.yml"}
    (desk.folder / "ic.json").write_text(json.dumps(config))
    return ["model", "deploy", "-n", SERVICE, "-m", f"{NAME}:1", "--ic", "ic.json"]


@dataclass(frozen=True)
class Early:
    """A mistake that is found before anything is made."""

    expected: Expected
    files: dict[str, str] = field(default_factory=dict)
    script: str = "score.py"
    sent: bool = True  # whether a request can make it, too


def early(code: str, message: str, kind: type[AzureMLException] = WebserviceException, **more: Any) -> Early:
    wanted = {k: more.pop(k) for k in ("hint", "evidence") if k in more}
    return Early(Expected(code, "Validate", kind, message, **wanted), **more)


EARLY = {
    "missing": early("EntryScriptNotFound", r"scroe\.py", script="scroe.py", evidence={"tree": r"score\.py"}),
    "not importable by name": early(
        "EntryScriptNotImportable", r"my-score\.py", files={"my-score.py": GOOD}, script="my-score.py"
    ),
    "named like a keyword": early(
        "EntryScriptNotImportable", r"class\.py", files={"class.py": GOOD}, script="class.py"
    ),
    "no .py file": early(
        "EntryScriptNotImportable", r"score\.txt", files={"score.txt": GOOD}, script="score.txt"
    ),
    "syntax": early(
        "EntryScriptSyntax",
        r"score\.py, line 4",
        files={"score.py": "def init():\n    pass\n\ndef run(data\n"},
        evidence={"source": r"def run\(data\n +\^"},
    ),
    "without run": early(
        "EntryScriptIncomplete",
        r"does not define run\(\)",
        files={"score.py": "def init():\n    pass\n"},
        hint=r"init\(\).*run\(data\)",
        evidence={"defined": "init"},
    ),
    "without either": early(
        "EntryScriptIncomplete", r"init\(\) and run\(\)", files={"score.py": "import json\n"}
    ),
    "conda file that is no YAML": early(
        "CondaFileInvalid",
        r"myenv\.yml is not valid YAML",
        UserErrorException,
        files={"myenv.yml": "dependencies: [python\n- x: {\n"},
        evidence={"source": "line 2"},
        sent=False,
    ),
    "conda file that is a list": early(
        "CondaFileInvalid",
        r"no mapping .*, but list",
        UserErrorException,
        files={"myenv.yml": "- python\n- numpy\n"},
        hint="dependencies:",
        sent=False,
    ),
    "conda file that is empty": early(
        "CondaFileInvalid", "no mapping", UserErrorException, files={"myenv.yml": ""}, sent=False
    ),
    "conda file that is binary": early(
        "CondaFileInvalid", "cannot be read|YAML", UserErrorException, files={"myenv.yml": "\x00"}, sent=False
    ),
}


@pytest.mark.parametrize("case", EARLY.values(), ids=EARLY)
def test_found_before_anything_is_made(desk: Desk, case: Early) -> None:
    for name, text in case.files.items():
        (desk.folder / name).write_text(text)
    before = desk.state()
    raised = desk.raises(lambda: deploy(desk, case.script), case.expected)
    desk.refuses(command(desk, case.script), case.expected).same_as(raised)
    if case.sent:
        names = [name for name in ("score.py", case.script) if (desk.folder / name).exists()]
        files = [
            {"path": name, "digest": desk.server.upload((desk.folder / name).read_bytes(), BASE)}
            for name in sorted(set(names))
        ]
        image = {"entryScript": case.script, "files": files, "modelIds": [], "environment": {}}
        body = {"name": SERVICE, "imageRequest": image}
        told = desk.denies("POST", "/services", case.expected, body)
        if case.expected.code != "EntryScriptNotFound":  # there, "where" is another place
            assert told.hint == raised.hint
    desk.unchanged(before)


def test_a_conda_file_that_is_not_there(desk: Desk) -> None:
    before = desk.state()
    (desk.folder / "myenv.yml").rename(desk.folder / "env.yml")
    expected = Expected(
        "CondaFileNotFound", "Validate", UserErrorException, r"myenv\.yml", evidence={"tree": r"env\.yml"}
    )
    desk.refuses(command(desk), expected).same_as(desk.raises(lambda: deploy(desk), expected))
    desk.unchanged(before)


@dataclass(frozen=True)
class Late:
    """A mistake that only building or starting shows."""

    expected: Expected
    score: str = GOOD
    conda: str = ""
    variables: dict[str, str] = field(default_factory=dict)


def late(code: str, phase: str, message: str, **more: Any) -> Late:
    wanted = {k: more.pop(k) for k in ("hint", "evidence") if k in more}
    return Late(Expected(code, phase, WebserviceException, message, **wanted), **more)


PACKAGES = {
    "unknown": late(
        "PackagesNotResolved",
        "Resolve",
        "no-such-package-of-mooring: the package index has no",
        conda="- pip:\n  - --no-index\n  - --find-links {links}\n  - no-such-package-of-mooring\n",
        hint="spelling",
        evidence={"resolver": "no-such-package-of-mooring"},
    ),
    "a version that does not exist": late(
        "PackagesNotResolved",
        "Resolve",
        r"anchor==1\.5: there is no such version; the nearest with wheels are 1\.2 and 2\.0",
        conda="- pip:\n  - --no-index\n  - --find-links {links}\n  - anchor==1.5\n",
        evidence={"resolver": "anchor"},
    ),
    "requirements that contradict each other": late(
        "PackagesNotResolved",
        "Resolve",
        "chain",
        conda="- pip:\n  - --no-index\n  - --find-links {links}\n  - chain==1.0\n  - anchor==1.2\n",
        evidence={"resolver": "anchor"},
    ),
    "conda only": late(
        "CondaPackageUnknown",
        "Resolve",
        "no-such-conda-package",
        conda="- no-such-conda-package=1.0\n- pip:\n  - --no-index\n  - --find-links {links}\n",
        hint="below `pip`",
        evidence={"resolver": "no-such-conda-package"},
    ),
}

STARTS = {
    "raises": late(
        "InitRaised",
        "Init",
        "ValueError: no such kernel",
        score="def init():\n    raise ValueError('no such kernel')\n" + RUN,
        evidence={"traceback": r'score\.py", line 2, in init'},
    ),
    "sys.exit": late(
        "InitExited",
        "Init",
        r"init\(\) ended the process: sys\.exit\('no licence'\)",
        score="import sys\ndef init():\n    sys.exit('no licence')\n" + RUN,
        evidence={"traceback": r'score\.py", line 3, in init'},
    ),
    "os._exit": late(
        "InitExited",
        "Init",
        "exit status 7",
        score="import os\ndef init():\n    print('last words', flush=True)\n    os._exit(7)\n" + RUN,
        hint=r"os\._exit",
        evidence={"log": "last words"},
    ),
    "never returns": late(
        "InitTimeout",
        "Init",
        "had not returned after 2 seconds",
        score="import threading\ndef init():\n    wait_for_godot()\n"
        "def wait_for_godot():\n    threading.Event().wait()\n" + RUN,
        variables={"MOORING_INIT_TIMEOUT_SECONDS": "2"},
        hint="MOORING_INIT_TIMEOUT_SECONDS",
        evidence={"stack": "wait_for_godot"},
    ),
    "a model file that is not there": late(
        "InitRaised",
        "Init",
        "FileNotFoundError",
        score="import os\ndef init():\n    open(os.path.join(os.environ['AZUREML_MODEL_DIR'], 'model.pkl'))\n"
        + RUN,
        hint="model.pkl does not exist",
        evidence={"tree": r"weights\.txt", "traceback": "model.pkl"},
    ),
    "an import that is not there": late(
        "EntryScriptImportFailed",
        "Init",
        "No module named 'sklearn'",
        score="import sklearn\ndef init():\n    pass\n" + RUN,
        hint="Add `scikit-learn`",
        evidence={"traceback": "import sklearn"},
    ),
}


def wheel(folder: Path, name: str, version: str, requires: str = "") -> None:
    """A package of one empty module."""
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    files = {
        f"{name}.py": "",
        f"{info}/METADATA": metadata + (f"Requires-Dist: {requires}\n" if requires else ""),
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = []
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            rows.append(f"{path},sha256={digest},{len(text)}\n")
        archive.writestr(f"{info}/RECORD", "".join([*rows, f"{info}/RECORD,,\n"]))


@pytest.fixture
def links(tmp_path: Path) -> Path:
    """A folder of packages, instead of an index."""
    folder = tmp_path / "links"
    folder.mkdir()
    for version in ("1.0", "1.2", "2.0"):
        wheel(folder, "anchor", version)
    wheel(folder, "chain", "1.0", "anchor>=2")
    return folder


def fails_alike(desk: Desk, case: Late, environment: Environment | None = None) -> Problem:
    before = desk.state()
    raised = desk.raises(lambda: deploy(desk, environment=environment), case.expected)
    told = desk.error_of(SERVICE)
    told.same_as(raised)
    shown = desk.command("service", "show", "-n", SERVICE, "--output", "table")
    assert case.expected.code in shown.output
    assert raised.hint.split()[0] in shown.output
    desk.drop(SERVICE)
    desk.unchanged(before)
    said = desk.refuses_json(command(desk, environment=environment), case.expected)
    assert (said.code, said.phase, sorted(said.evidence)) == (
        raised.code,
        raised.phase,
        sorted(raised.evidence),
    )
    desk.drop(SERVICE)
    desk.unchanged(before)
    return raised


@pytest.mark.parametrize("case", PACKAGES.values(), ids=PACKAGES)
def test_packages(desk: Desk, links: Path, case: Late) -> None:
    conda = case.conda.format(links=links)
    (desk.folder / "myenv.yml").write_text(f"name: e\ndependencies:\n- python={PYTHON}\n{conda}")
    fails_alike(desk, case)


@pytest.mark.parametrize("case", STARTS.values(), ids=STARTS)
def test_init(desk: Desk, case: Late) -> None:
    (desk.folder / "score.py").write_text(case.score)
    environment = Environment.from_conda_specification("e", "myenv.yml") if case.variables else None
    if environment is not None:
        environment.environment_variables = case.variables
    fails_alike(desk, case, environment)


def test_a_timeout_that_is_no_number(desk: Desk) -> None:
    before = desk.state()
    environment = Environment.from_conda_specification("e", "myenv.yml")
    environment.environment_variables = {"MOORING_INIT_TIMEOUT_SECONDS": "soon"}
    expected = Expected("InvalidInitTimeout", "Validate", WebserviceException, "'soon'")
    raised = desk.raises(lambda: deploy(desk, environment=environment), expected)
    desk.refuses(command(desk, environment=environment), expected).same_as(raised)
    desk.unchanged(before)


class Gate(io.StringIO):
    """A stream that lets `init()` go on as soon as a line tells how long it may take."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def write(self, text: str) -> int:
        written = super().write(text)
        if "s of at most 360 s" in self.getvalue():
            self._path.touch()
        return written


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_long_phase_tells_its_deadline(desk: Desk, monkeypatch: pytest.MonkeyPatch, stream: str) -> None:
    """In `wait_for_deployment(show_output=True)` (stdout), on the command line (stderr), and in the operation."""
    monkeypatch.setattr("mooring.sdk.phase_times.FIRST_WORD_SECONDS", 0.5)
    monkeypatch.setattr("mooring.sdk.operations.WAIT_SECONDS", 1)
    monkeypatch.setattr("mooring.cli.progress.WAIT_SECONDS", 1)
    gate = desk.folder / "gate"
    wait = f"    while not os.path.exists({str(gate)!r}):\n        time.sleep(0.05)\n"
    (desk.folder / "score.py").write_text("import os, time\ndef init():\n" + wait + RUN)
    config = InferenceConfig("score.py", runtime="python", conda_file="myenv.yml")
    service = Model.deploy(desk.ws, SERVICE, [Model(desk.ws, NAME)], config)
    shown = Gate(gate)
    monkeypatch.setattr(sys, stream, shown)
    if stream == "stdout":
        service.wait_for_deployment(show_output=True)
    else:
        waiting.wait(Session("table"), service, "Deploying", no_wait=False)
    monkeypatch.undo()
    assert "Init" in shown.getvalue()
    operation = desk.server.client.get(f"{BASE}/operations/{service.operation_id}").json()
    init = operation["phases"][-1]
    assert (init["name"], init["state"], init["deadlineSeconds"]) == ("Init", "Succeeded", 360)
    assert init["elapsedSeconds"] > 0
    desk.drop(SERVICE)
