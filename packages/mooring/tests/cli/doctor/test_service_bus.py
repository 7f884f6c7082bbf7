from importlib import util
from pathlib import Path

from mooring.cli.doctor.check import MISSING, OK
from mooring.cli.doctor.service_bus import checks

_spec = util.spec_from_file_location("fake_machine", Path(__file__).with_name("fake.py"))
fake = util.module_from_spec(_spec)
_spec.loader.exec_module(fake)
FakeMachine = fake.FakeMachine


def test_the_broker_concerns_machines_with_a_server_only() -> None:
    assert list(checks(FakeMachine())) == []


def test_it_is_there() -> None:
    machine = FakeMachine(modules=("mooring_server", "proton"), packages={"python-qpid-proton": "0.40.0"})
    (check,) = checks(machine)
    assert (check.status, check.detail) == (OK, "Qpid Proton 0.40.0")


def test_what_would_bring_it() -> None:
    (check,) = checks(FakeMachine(modules=("mooring_server",), programs={"gcc": (0, "")}))
    assert check.status == MISSING
    assert "mooring-server[servicebus]" in check.fix
    (check,) = checks(FakeMachine(modules=("mooring_server",)))
    assert "apt install gcc python3-dev" in check.fix
