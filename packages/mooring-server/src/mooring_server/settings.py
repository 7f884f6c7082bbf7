"""Where a server keeps its data, and what it remembers over restarts."""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from mooring_server.domain.errors import MooringError


@dataclass(frozen=True)
class Home:
    """The data directory (docs/protocols.md, section 3)."""

    path: Path

    @classmethod
    def open(cls, path: Path) -> Home:
        """Make the directory if it is not there; refuse one that belongs to somebody else.

        Raises:
            MooringError: ``HomeNotOwned``, ``HomeNotWritable``.
        """
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            owner = path.stat().st_uid
        except OSError as error:
            raise MooringError(
                "HomeNotWritable",
                f"The data directory {path} cannot be used: {error.strerror}.",
                hint="Set MOORING_HOME to a directory of your own.",
                phase="Start",
            ) from error
        if owner != os.geteuid():
            raise MooringError(
                "HomeNotOwned",
                f"The data directory {path} belongs to user {owner}, not to user {os.geteuid()}.",
                hint="Set MOORING_HOME to a directory of your own, or run as its owner.",
                phase="Start",
            )
        path.chmod(0o700)
        (path / "logs").mkdir(mode=0o700, exist_ok=True)
        return cls(path)

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.path / "mooring.db"

    @property
    def content(self) -> Path:
        """The content store."""
        return self.path / "content"

    @property
    def cache(self) -> Path:
        """What may be deleted: layers, unpacked environments."""
        return self.path / "cache"

    @property
    def services(self) -> Path:
        """Running services."""
        return self.path / "services"

    @property
    def storage(self) -> Path:
        """What the storage accounts hold, a directory each."""
        return self.path / "storage"

    @property
    def bus(self) -> Path:
        """The Service Bus broker's messages and port."""
        return self.path / "servicebus"

    @property
    def audit(self) -> Path:
        """The audit log."""
        return self.path / "logs" / "audit.jsonl"

    @property
    def lock(self) -> Path:
        """Held by the running server."""
        return self.path / "server.lock"

    @property
    def announcement(self) -> Path:
        """Where clients find the running server."""
        return self.path / "server.json"


@contextmanager
def locked(home: Home) -> Iterator[None]:
    """Hold the data directory: one server, one restore, one backup without a server at a time.

    Raises:
        MooringError: ``ServerRunning``.
    """
    with home.lock.open("a") as lock:
        try:
            fcntl.flock(lock.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise MooringError(
                "ServerRunning",
                f"A server is running on {home.path} already.",
                hint="`mooring status` shows it, `mooring down` stops it.",
                phase="Start",
                status_code=409,
            ) from None
        yield


# Where workers run; the first unless another is chosen.
TARGETS = ("process", "container")


@dataclass(frozen=True)
class Settings:
    """Kept in ``settings.json``: the token, the port of the last run (image locations name it), TLS, the target.

    Attributes:
        tls_cert: path of the certificate chain, None without TLS.
        tls_key: path of its key.
        public_host: the name under which other machines reach the server.
        az_port: the port of the HTTPS listener for `az`; 0 without one.
        target: where workers run, one of `TARGETS`.
    """

    token: str
    port: int
    tls_cert: str | None = None
    tls_key: str | None = None
    public_host: str | None = None
    az_port: int = 0
    target: str = TARGETS[0]

    @classmethod
    def load(cls, home: Home) -> Settings:
        """What the last run kept, or a new token."""
        path = home.path / "settings.json"
        if not path.exists():
            return cls(secrets.token_urlsafe(32), 0)
        try:
            stored = json.loads(path.read_text())
            names = ("tls_cert", "tls_key", "public_host", "target")
            rest = {name: str(stored[name]) for name in names if stored.get(name)}
            az_port = int(stored.get("az_port", 0))
            return cls(str(stored["token"]), int(stored["port"]), **rest, az_port=az_port)
        except (ValueError, KeyError, TypeError) as error:
            raise MooringError(
                "SettingsUnreadable",
                f"{path} cannot be read: {error}.",
                hint="Remove it; a new token is made then.",
                phase="Start",
            ) from error

    def save(self, home: Home) -> None:
        """Write atomically, readable by the owner only."""
        write_private(home.path / "settings.json", json.dumps(asdict(self)))


@dataclass(frozen=True)
class Collection:
    """When garbage goes.

    Attributes:
        grace_seconds: ``MOORING_GC_GRACE_SECONDS``: for so long an upload or a layer may be without anything that
            refers to it. Less than a client takes from its first upload to its request loses uploads.
        interval_seconds: ``MOORING_GC_INTERVAL_SECONDS``: between two collections.
    """

    grace_seconds: float = 3600.0
    interval_seconds: float = 60.0

    @classmethod
    def from_environment(cls, variables: Mapping[str, str]) -> Collection:
        """As the variables say.

        Raises:
            MooringError: ``SettingInvalid``.
        """
        return cls(
            _seconds(variables, "MOORING_GC_GRACE_SECONDS", cls.grace_seconds),
            _seconds(variables, "MOORING_GC_INTERVAL_SECONDS", cls.interval_seconds),
        )


def layer_packing(variables: Mapping[str, str]) -> str:
    """``MOORING_LAYER_COMPRESSION``: the media type of layers, for ``gzip`` (the default) or ``zstd``.

    Raises:
        MooringError: ``SettingInvalid``.
    """
    name = variables.get("MOORING_LAYER_COMPRESSION") or "gzip"
    if name not in {"gzip", "zstd"}:
        raise MooringError(
            "SettingInvalid",
            f"MOORING_LAYER_COMPRESSION must be gzip or zstd; it is {name!r}.",
            hint="Correct it or unset it.",
            phase="Start",
        )
    return f"application/vnd.oci.image.layer.v1.tar+{name}"


def external_tracking(variables: Mapping[str, str]) -> str | None:
    """``MOORING_MLFLOW_TRACKING_URI``: address of an MLflow server that is used instead of the embedded one.

    Raises:
        MooringError: ``SettingInvalid``.
    """
    address = variables.get("MOORING_MLFLOW_TRACKING_URI", "").strip().rstrip("/")
    if not address:
        return None
    split = urlsplit(address)
    if split.scheme not in {"http", "https"} or not split.hostname or "@" in split.netloc:
        raise MooringError(
            "SettingInvalid",
            "MOORING_MLFLOW_TRACKING_URI must be the http(s) address of an MLflow server, without credentials.",
            hint="Clients prove who they are to it by MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and "
            "MLFLOW_TRACKING_PASSWORD.",
            phase="Start",
        )
    return address


def allowed_imports(variables: Mapping[str, str]) -> frozenset[str]:
    """``MOORING_ALLOWED_IMPORTS``: what pickles of any model may import, though it is dangerous.

    Raises:
        MooringError: ``SettingInvalid``.
    """
    names = [name.strip() for name in variables.get("MOORING_ALLOWED_IMPORTS", "").split(",") if name.strip()]
    wrong = next((name for name in names if not re.fullmatch(r"\w+(\.\w+)+", name)), None)
    if wrong is not None:
        raise MooringError(
            "SettingInvalid",
            f"MOORING_ALLOWED_IMPORTS must be names like operator.attrgetter with commas between them, not {wrong!r}.",
            hint="Correct it or unset it.",
            phase="Start",
        )
    return frozenset(names)


def _seconds(variables: Mapping[str, str], name: str, default: float) -> float:
    text = variables.get(name) or str(default)
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise MooringError(
            "SettingInvalid",
            f"{name} must be a number of seconds, 0 or more; it is {text!r}.",
            hint="Correct it or unset it.",
            phase="Start",
        )
    return value


def remove_temporary(home: Home) -> None:
    """Remove what a server that was killed while it wrote has left; the caller holds the lock."""
    for name in (home.announcement.name, "settings.json"):
        for path in home.path.glob(f".{name}.*"):
            path.unlink()


def write_private(path: Path, text: str) -> None:
    """Replace a file atomically by one that only its owner can read."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
