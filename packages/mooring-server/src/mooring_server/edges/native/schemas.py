"""Request bodies. Unknown fields are refused: what is not understood must not be silently ignored."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

# Field names are Azure's JSON names.
# ruff: noqa: N815

_KEY = Annotated[str, Field(max_length=256)]
Tags = dict[_KEY, Annotated[str, Field(max_length=4096)]]
Text = Annotated[str, Field(max_length=10_000)]
Name = Annotated[str, Field(max_length=512)]
Count = Annotated[int, Field(ge=0, le=2**53)]


class Body(BaseModel):
    """Common configuration."""

    model_config = ConfigDict(extra="forbid")


class WorkspaceSettings(Body):
    """A new workspace, or changes to one."""

    location: Name | None = None
    friendlyName: Name | None = None
    description: Text | None = None
    tags: Tags | None = None
    existOk: bool = False


class RegistrySettings(Body):
    """A registry elsewhere, ``host[:port][/prefix]``."""

    address: Name
    username: Name = ""
    password: Annotated[str, Field(max_length=10_000)] = ""  # some registries' are tokens


class PasswordName(Body):
    """``password`` or ``password2``."""

    name: Name


class DigestList(Body):
    """Digests to ask for."""

    digests: list[Name] = Field(max_length=100_000)


class File(Body):
    """One file of a tree; its content was uploaded before."""

    path: Annotated[str, Field(max_length=1024)]
    digest: Name
    size: Count | None = None
    executable: bool = False


class ResourceRequirements(Body):
    """What a model needs."""

    cpu: float | None = Field(default=None, gt=0, le=1024)
    memoryInGB: float | None = Field(default=None, gt=0, le=65_536)
    gpu: int | None = Field(default=None, ge=0, le=64)


class ModelChanges(Body):
    """What may change of a model."""

    kvTags: Tags | None = None
    properties: Tags | None = None
    description: Text | None = None
    sampleInputData: Name | None = None
    sampleOutputData: Name | None = None
    resourceRequirements: ResourceRequirements | None = None


class NewModel(ModelChanges):
    """A model to register."""

    name: Name
    files: list[File] = Field(max_length=100_000)
    allowedImports: list[Name] | None = Field(default=None, max_length=1000)
    framework: Name | None = None
    frameworkVersion: Name | None = None
    runId: Name | None = None
    experimentName: Name | None = None


class ImageChanges(Body):
    """What may change of an image."""

    kvTags: Tags | None = None
    properties: Tags | None = None
    description: Text | None = None


class DeployedApiOptions(Body):
    """What makes an image one of a function app; which fields there are depends on the trigger."""

    flavor: Name | None = None
    trigger: Name | None = None
    authLevel: Name | None = None
    inPath: Annotated[str, Field(max_length=1088)] | None = None
    outPath: Annotated[str, Field(max_length=1088)] | None = None
    inQueueName: Name | None = None
    outQueueName: Name | None = None


class ImageRequest(ImageChanges):
    """What goes into an image."""

    entryScript: Name | None = None
    sourceDirectory: Name | None = None
    files: list[File] = Field(default_factory=list, max_length=100_000)
    modelIds: list[Name] = Field(default_factory=list, max_length=1000)
    environment: dict[str, Any] | None = None
    imageFlavor: Literal["WebApiContainer"] | None = None


class NewImage(ImageRequest):
    """An image to build; ``imageLabel`` is a tag for the registry, beside the version."""

    name: Name
    imageLabel: Name | None = None
    deployedApiOptions: DeployedApiOptions | None = None


class BaseBuild(Body):
    """A base image to build; ``mirror``: of Debian's packages."""

    name: Name | None = None
    mirror: Annotated[str, Field(max_length=2048, pattern=r"^(https?|copy|file)://\S+$")] | None = None


class BasePull(Body):
    """A base image to pull."""

    reference: Name
    name: Name | None = None
    username: Name | None = None
    password: Text | None = None


class ContainerResources(Body):
    """Azure's ``containerResourceRequirements``."""

    cpu: float | None = Field(default=None, gt=0, le=1024)
    memoryInGB: float | None = Field(default=None, gt=0, le=65_536)


class NewProfile(Body):
    """A profile to make; ``inputs``: digest of a JSON array of texts, the requests to send."""

    name: Name
    description: Text | None = None
    inputs: Name
    imageRequest: ImageRequest
    containerResourceRequirements: ContainerResources | None = None


class Keys(Body):
    """Keys of the user's own choice."""

    primaryKey: Annotated[str, Field(min_length=8, max_length=256, pattern=r"^[\x21-\x7e]+$")] | None = None
    secondaryKey: Annotated[str, Field(min_length=8, max_length=256, pattern=r"^[\x21-\x7e]+$")] | None = None


class ServiceChanges(Body):
    """What may change of a service; ``imageId`` or ``imageRequest`` makes a new revision."""

    imageId: Name | None = None
    imageRequest: ImageRequest | None = None
    description: Text | None = None
    kvTags: Tags | None = None
    properties: Tags | None = None
    location: Name | None = None
    authEnabled: bool | None = None
    sslEnabled: bool | None = None
    sslCertificate: Text | None = None
    sslKey: Text | None = None
    cname: Name | None = None
    dnsNameLabel: Name | None = None
    appInsightsEnabled: bool | None = None
    containerResourceRequirements: ContainerResources | None = None
    keys: Keys | None = None
    port: int | None = Field(default=None, ge=1, le=65_535)
    localSource: dict[str, Any] | None = None


class NewService(ServiceChanges):
    """A service to deploy."""

    name: Name
    computeType: Literal["ACI", "AKS", "LOCAL"] = "ACI"
    overwrite: bool = False


class Rollback(Body):
    """Which revision to return to; null: the good one before."""

    revision: int | None = Field(default=None, ge=1, le=2**31)


class KeyChange(Body):
    """Which key to replace, and by what (null: a random one)."""

    keyType: Literal["Primary", "Secondary"]
    keyValue: Annotated[str, Field(min_length=8, max_length=256, pattern=r"^[\x21-\x7e]+$")] | None = None


class WorkspaceName(Body):
    """A workspace, by its names."""

    subscription: Name
    resourceGroup: Name
    name: Name


class NewToken(Body):
    """A token to make; ``workspaces`` null: for all, also those to come."""

    name: Name
    role: Literal["reader", "contributor", "owner"]
    workspaces: Annotated[list[WorkspaceName], Field(min_length=1, max_length=1000)] | None = None
    expiresInDays: Annotated[float, Field(gt=0, le=36_500)] | None = None


class StorageAccountSettings(Body):
    """A new storage account; ``sku`` is a name such as ``Standard_LRS``."""

    location: Name | None = None
    kind: Name | None = None
    sku: Name | None = None
    tags: Tags | None = None


class KeyName(Body):
    """Which key of a storage account to make anew."""

    keyName: Name


class GroupSettings(Body):
    """A new resource group, or changes to one."""

    location: Name | None = None
    tags: Tags | None = None


class PlanSettings(GroupSettings):
    """A new plan, or changes to one; ``sku`` is a name such as ``EP1``."""

    sku: Name | None = None


Setting = Annotated[str, Field(max_length=32_768)]


class FunctionAppSettings(GroupSettings):
    """A new function app, or changes to one; ``plan`` is one of its resource group."""

    plan: Name | None = None
    image: Name | None = None
    storageAccount: Name | None = None
    settings: dict[_KEY, Setting] | None = None
    enabled: bool | None = None


class AppSettings(Body):
    """App settings, in the shape of ARM's."""

    properties: dict[_KEY, Setting]


class AppSettingsChanges(AppSettings):
    """App settings to set, and the names of others to remove."""

    properties: dict[_KEY, Setting] = Field(default_factory=dict)
    removed: list[Name] = Field(default_factory=list, max_length=1000)


class Container(Body):
    """The image of a function app and its registry."""

    image: Name | None = None
    registryUrl: Name | None = None
    registryUsername: Name | None = None
    registryPassword: Name | None = None
