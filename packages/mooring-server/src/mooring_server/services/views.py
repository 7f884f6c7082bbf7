"""The JSON that callers see (docs/protocols.md, section 2). Field names are Azure's."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from typing_extensions import TypedDict  # pydantic needs this one before Python 3.12

T = TypeVar("T")


class Page(TypedDict, Generic[T]):
    """One page of a list; ``nextLink`` leads to the next, or is null."""

    value: list[T]
    nextLink: str | None


class FileView(TypedDict):
    """One file of a tree."""

    path: str
    digest: str
    size: int
    executable: bool


class PickleView(TypedDict):
    """What a pickle says about itself; see `images.pickles.scan.Pickle`."""

    path: str
    protocol: int | None
    compression: str | None
    versions: dict[str, list[str]]
    imports: list[str]
    dangerousImports: list[dict[str, str]]
    incomplete: str | None


class ModelView(TypedDict):
    """A registered model's version."""

    id: str
    name: str
    version: int
    createdTime: str
    modifiedTime: str
    createdBy: dict[str, str]
    description: str | None
    kvTags: dict[str, str]
    properties: dict[str, str]
    framework: str
    frameworkVersion: str | None
    mimeType: str
    url: str
    unpack: bool
    runId: str | None
    experimentName: str | None
    resourceRequirements: dict[str, Any] | None
    sampleInputData: str | None
    sampleOutputData: str | None
    files: list[FileView]
    pickles: list[PickleView]


class ImageView(TypedDict):
    """An image's version."""

    id: str
    name: str
    version: int
    createdTime: str
    modifiedTime: str
    creationState: str
    description: str | None
    kvTags: dict[str, str]
    properties: dict[str, str]
    imageLocation: str
    imageLabel: str | None
    imageDigest: str | None
    imageType: str
    imageFlavor: str
    sizeInBytes: int | None
    pythonVersion: str | None
    modelIds: list[str]
    modelDetails: list[ModelView]
    imageBuildLogUri: str
    deployedApiOptions: dict[str, str] | None
    driverProgram: str | None
    environment: dict[str, Any] | None
    changes: list[str]
    error: dict[str, Any] | None
    operationId: str


class RevisionView(TypedDict):
    """A revision of a service that came up."""

    revision: int
    state: str
    imageId: str
    imageDigest: str | None
    modelIds: list[str]
    containerResourceRequirements: dict[str, Any]
    createdTime: str


class ServiceView(TypedDict):
    """A web service."""

    id: str
    name: str
    computeType: str
    state: str
    error: dict[str, Any] | None
    createdTime: str
    updatedTime: str
    createdBy: dict[str, str]
    description: str | None
    kvTags: dict[str, str]
    properties: dict[str, str]
    location: str
    authEnabled: bool
    sslEnabled: bool
    sslCertificate: str | None
    sslKey: str | None
    cname: str | None
    dnsNameLabel: str | None
    appInsightsEnabled: bool
    containerResourceRequirements: dict[str, Any]
    publicIp: str | None
    scoringUri: str | None
    swaggerUri: str | None
    port: int | None
    imageId: str
    imageDigest: str | None
    imageLocation: str
    models: list[ModelView]
    modelIds: list[str]
    deploymentStatus: dict[str, Any]
    revision: int
    activeRevision: int | None
    revisions: list[RevisionView]
    isolation: str | None
    localSource: dict[str, Any] | None
    environmentImageRequest: dict[str, Any] | None
    operationId: str


class PhaseView(TypedDict):
    """One phase of an operation."""

    name: str
    state: str
    startedTime: str | None
    endTime: str | None
    deadlineSeconds: float
    elapsedSeconds: float | None
    detail: str


class LogView(TypedDict):
    """One line of an operation's log."""

    seq: int
    time: str
    phase: str
    message: str


class OperationView(TypedDict):
    """A long operation."""

    id: str
    operationType: str
    state: str
    createdTime: str
    endTime: str | None
    resourceLocation: str
    resourceId: str
    error: dict[str, Any] | None
    phases: list[PhaseView]
    log: list[LogView]


class KeysView(TypedDict):
    """A service's keys."""

    primaryKey: str
    secondaryKey: str


class EnvironmentPage(TypedDict):
    """Registered environments, the latest version of each."""

    value: list[dict[str, Any]]


class WorkspaceView(TypedDict):
    """A workspace, as ARM shows it and as ``Workspace.get_details()`` returns it."""

    id: str
    name: str
    location: str
    type: str
    tags: dict[str, str]
    sku: dict[str, str]
    workspaceid: str
    friendlyName: str
    description: str
    creationTime: str
    containerRegistry: str
    keyVault: str
    applicationInsights: str
    storageAccount: str
    discoveryUrl: str
    identity: dict[str, str]
    subscription: str
    resourceGroup: str
    provisioningState: str


class FindingView(TypedDict):
    """Something that is not as it should be; see `services.checks.finding`."""

    code: str
    severity: str
    subject: str
    message: str
    hint: str


class ReportView(TypedDict):
    """What a check of the data directory found, and how much it looked at."""

    ok: bool
    findings: list[FindingView]
    checked: dict[str, int]


class BaseImageView(TypedDict):
    """A base image. ``pythons`` are versions ``X.Y``; ``shell`` is the path of one, if it has any."""

    name: str
    digest: str
    reference: str
    architecture: str
    sizeInBytes: int
    pythons: list[str]
    glibc: str
    shell: str | None
    default: bool
    origin: str
    createdTime: str


class TokenView(TypedDict):
    """A token, without the token. ``workspaces`` are ARM ids, null for all."""

    id: str
    name: str
    role: str
    workspaces: list[str] | None
    state: str
    createdBy: str
    createdTime: str
    expiresTime: str | None
    lastUsedTime: str | None
    revokedTime: str | None


class NewTokenView(TokenView):
    """The one answer that has the token itself."""

    token: str
