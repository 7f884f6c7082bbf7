"""What shall run: the spec of docs/protocols.md, section 5."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from mooring_runtime.supervisor.failure import Failure, SupervisorError

MAX_RSS = "MOORING_WORKER_MAX_RSS"
LOG_FORMAT = "MOORING_LOG_FORMAT"
SCRIPT_ROOT = "AzureWebJobsScriptRoot"
SANDBOX_MODES = ("auto", "bwrap", "landlock", "none")
NETWORKS = ("auto", "none", "outbound", "all")
CONTAINER_NETWORKS = ("default", "none")


@dataclass(frozen=True, slots=True)
class SandboxSpec:
    """How workers are to be confined (docs/guide/isolation.md).

    Attributes:
        mode: ``auto`` for the best there is; a mode that is named must be possible.
        network: ``auto`` for ``outbound`` where the machine can hold workers to it, else ``all``.
        readable: folders beside those of the interpreter and the app root.
        protected: folders that nothing of the system's may open, even if they lie in ``/usr`` or ``/opt``.
        open_ports: TCP ports that ``outbound`` reaches beside those of `ports.OUTBOUND`.
        closed_ports: TCP ports that ``outbound`` does not reach.
    """

    mode: str = "auto"
    network: str = "auto"
    readable: tuple[str, ...] = ()
    protected: tuple[str, ...] = ()
    open_ports: tuple[int, ...] = ()
    closed_ports: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """The container that a revision's workers run in (docs/guide/containers.md).

    Attributes:
        engine: path of the socket that the engine listens at.
        image: name or id of the image, which the engine has.
        user: ``uid:gid``; never 0.
        network: ``none``, or ``default`` for the engine's.
        labels: of the container, beside those that tell whose it is.
        script_root: of a function app: where its host, which is outside, finds what the image has in
            ``AzureWebJobsScriptRoot``.
    """

    engine: str
    image: str
    user: str
    network: str = "default"
    labels: Mapping[str, str] = field(default_factory=dict)
    script_root: str | None = None


@dataclass(frozen=True, slots=True)
class RevisionSpec:
    """An image's workers.

    Attributes:
        id: the caller's name for the revision.
        python: the interpreter of the user's environment.
        worker_dir: the folder with the worker's files.
        app_root: the folder with the user's files, and the working directory.
        entry_script: relative to the source directory, or to the app root without one.
        source_directory: relative to the app root, or None.
        env: environment variables of the workers.
        workers: how many processes.
        init_deadline_seconds: from the start of a worker until ``init()`` has returned.
        cpu_cores: ceiling for all workers together, once ready; None for none.
        memory_bytes: limit for all workers together; None for none.
        sandbox: how they are confined; None for not at all (in a container, which confines them).
        container: what they run in; ``python``, ``worker_dir`` and ``app_root`` are paths in it then. None for
            processes of this machine.
    """

    id: str
    python: str
    worker_dir: str
    app_root: str
    entry_script: str
    source_directory: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    workers: int = 1
    init_deadline_seconds: float = 300.0
    cpu_cores: float | None = None
    memory_bytes: int | None = None
    sandbox: SandboxSpec | None = None
    container: ContainerSpec | None = None

    @property
    def max_rss_bytes(self) -> int | None:
        """Resident memory at which a worker is replaced: ``MOORING_WORKER_MAX_RSS`` (MiB) of ``env``."""
        text = self.env.get(MAX_RSS, "")
        return int(text) << 20 if text else None

    @property
    def json_logs(self) -> bool:
        """Whether what the workers print is logged as JSON: ``MOORING_LOG_FORMAT`` of ``env``."""
        return self.env.get(LOG_FORMAT) == "json"

    def same_processes(self, other: RevisionSpec) -> bool:
        """Whether workers of ``other`` can serve as workers of this one."""
        return self == replace(other, workers=self.workers, init_deadline_seconds=self.init_deadline_seconds)


@dataclass(frozen=True, slots=True)
class TlsSpec:
    """Where the service's certificate is; the files are read again when they change.

    Attributes:
        certificate: PEM file with the chain.
        key: PEM file with its key, not encrypted.
    """

    certificate: str
    key: str


@dataclass(frozen=True, slots=True)
class FunctionsSpec:
    """What makes a service a function app; its functions lie in ``AzureWebJobsScriptRoot`` of the revision's ``env``.

    Attributes:
        host_id: stable name of the app in the storage that its triggers use.
        keys: by name; ``_master`` opens everything, the others all functions.
    """

    host_id: str
    keys: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Spec:
    """A service.

    Attributes:
        service: its name.
        generation: counts the caller's changes.
        host: the address to listen on.
        port: 0 for any free port, which is then kept for the service's life.
        auth_keys: the keys callers may show; empty for no authentication.
        tls: for https; None for http.
        scoring_timeout_ms: for one call of ``run``.
        max_request_bytes: for one request body.
        max_queue: requests that may wait for a worker.
        max_queue_wait_ms: how long one may wait.
        revision: what answers.
        functions: of a function app; None for a web service.
    """

    service: str
    revision: RevisionSpec
    generation: int = 1
    host: str = "127.0.0.1"
    port: int = 0
    auth_keys: tuple[str, ...] = ()
    tls: TlsSpec | None = None
    scoring_timeout_ms: int = 60000
    max_request_bytes: int = 104857600
    max_queue: int = 256
    max_queue_wait_ms: int = 30000
    functions: FunctionsSpec | None = None

    def to_json(self) -> dict[str, Any]:
        """The JSON object of docs/protocols.md."""
        return {**asdict(self), "auth_keys": list(self.auth_keys)}


def revision_to_json(revision: RevisionSpec) -> dict[str, Any]:
    """The ``revision`` member of a spec."""
    return asdict(revision)


_KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "str": ((str,), "text"),
    "int": ((int,), "a whole number"),
    "float": ((int, float), "a number"),
    "str | None": ((str, type(None)), "text or null"),
    "float | None": ((int, float, type(None)), "a number or null"),
    "int | None": ((int, type(None)), "a whole number or null"),
    "Mapping[str, str]": ((dict,), "an object"),
    "tuple[str, ...]": ((list, tuple), "a list"),
    "tuple[int, ...]": ((list, tuple), "a list"),
    "SandboxSpec | None": ((dict, type(None)), "an object or null"),
    "ContainerSpec | None": ((dict, type(None)), "an object or null"),
    "TlsSpec | None": ((dict, type(None)), "an object or null"),
    "FunctionsSpec | None": ((dict, type(None)), "an object or null"),
    "RevisionSpec": ((dict,), "an object"),
}
_REQUIRED = {
    "service",
    "revision",
    "id",
    "python",
    "worker_dir",
    "app_root",
    "entry_script",
    "certificate",
    "key",
    "host_id",
    "engine",
    "image",
    "user",
}
_POSITIVE = {
    "workers",
    "init_deadline_seconds",
    "cpu_cores",
    "memory_bytes",
    "scoring_timeout_ms",
    "max_request_bytes",
    "max_queue_wait_ms",
}
MAX_PORT = 65535


def invalid(message: str) -> SupervisorError:
    """The error for a spec that cannot be right."""
    return SupervisorError(
        Failure("SpecInvalid", "Validate", message, "Correct the spec and apply it again.")
    )


def _checked(kind: type, data: Any, where: str) -> dict[str, Any]:
    if not isinstance(data, Mapping):
        raise invalid(f"{where or 'The spec'} must be a JSON object, not {type(data).__name__}.")
    known = {item.name: str(item.type) for item in fields(kind)}
    unknown = sorted(set(data) - set(known))
    if unknown:
        raise invalid(f"Unknown field {where}{unknown[0]}. Known: {', '.join(known)}.")
    for name in known:
        if name in _REQUIRED and name not in data:
            raise invalid(f"The field {where}{name} is missing.")
    for name, value in data.items():
        types, called = _KINDS[known[name]]
        if not isinstance(value, types) or isinstance(value, bool):
            raise invalid(f"{where}{name} must be {called}, not {value!r}.")
        if name in _POSITIVE and isinstance(value, (int, float)) and value <= 0:
            raise invalid(f"{where}{name} must be above 0, not {value!r}.")
    return dict(data)


def parse_revision(data: Any) -> RevisionSpec:
    """The ``revision`` member of a spec.

    Raises:
        SupervisorError: ``SpecInvalid``.
    """
    checked = _checked(RevisionSpec, data, "revision.")
    env = checked.get("env", {})
    if not all(isinstance(key, str) and isinstance(value, str) for key, value in env.items()):
        raise invalid("revision.env must map text to text.")
    if env.get(LOG_FORMAT, "text") not in {"text", "json"}:
        raise invalid(f"{LOG_FORMAT} must be text or json, not {env[LOG_FORMAT]!r}.")
    limit = env.get(MAX_RSS, "")
    if limit and not (limit.isascii() and limit.isdigit() and int(limit)):
        raise invalid(f"{MAX_RSS} must be a whole number of MiB above 0, not {limit!r}.")
    if checked.get("sandbox") is not None:
        checked["sandbox"] = _parse_sandbox(checked["sandbox"])
    if checked.get("container") is not None:
        checked["container"] = _parse_container(checked["container"])
        if checked.get("sandbox") is not None:
            raise invalid("revision.sandbox confines processes of this machine; a container needs none.")
    return RevisionSpec(**checked)


def _parse_container(data: Any) -> ContainerSpec:
    checked = _checked(ContainerSpec, data, "revision.container.")
    if checked.get("network", "default") not in CONTAINER_NETWORKS:
        raise invalid(
            f"revision.container.network must be one of {', '.join(CONTAINER_NETWORKS)}, not"
            f" {checked['network']!r}."
        )
    user, _, group = checked["user"].partition(":")
    if not (user.isdecimal() and int(user) and group.isdecimal()):
        raise invalid(f"revision.container.user must be uid:gid and not root, not {checked['user']!r}.")
    return ContainerSpec(**checked)


def _parse_sandbox(data: Any) -> SandboxSpec:
    checked = _checked(SandboxSpec, data, "revision.sandbox.")
    for name, known in (("mode", SANDBOX_MODES), ("network", NETWORKS)):
        if checked.get(name, "auto") not in known:
            raise invalid(
                f"revision.sandbox.{name} must be one of {', '.join(known)}, not {checked[name]!r}."
            )
    for name, kind in (("readable", str), ("protected", str), ("open_ports", int), ("closed_ports", int)):
        values = tuple(checked.get(name, ()))
        if not all(type(value) is kind for value in values):
            raise invalid(f"revision.sandbox.{name} must be a list of {kind.__name__}.")
        checked[name] = values
    return SandboxSpec(**checked)


def parse(data: Any) -> Spec:
    """A spec from JSON.

    Raises:
        SupervisorError: ``SpecInvalid``, with the field and what was expected.
    """
    checked = _checked(Spec, data, "")
    if not 0 <= checked.get("port", 0) <= MAX_PORT:
        raise invalid(f"port must be between 0 and {MAX_PORT}, not {checked['port']}.")
    keys = checked.get("auth_keys", ())
    if not all(isinstance(key, str) and key for key in keys):
        raise invalid("auth_keys must be a list of texts that are not empty.")
    checked["auth_keys"] = tuple(keys)
    if checked.get("tls") is not None:
        checked["tls"] = TlsSpec(**_checked(TlsSpec, checked["tls"], "tls."))
    checked["revision"] = parse_revision(checked["revision"])
    if checked.get("functions") is not None:
        checked["functions"] = FunctionsSpec(**_checked(FunctionsSpec, checked["functions"], "functions."))
        if SCRIPT_ROOT not in checked["revision"].env:
            raise invalid(f"revision.env has no {SCRIPT_ROOT}: the image was not packaged for functions.")
    return Spec(**checked)
