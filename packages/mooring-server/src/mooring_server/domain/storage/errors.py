"""Azure Storage's errors: code, status and sentence.

Source: "Status and Error Codes" of Azure's REST reference (common, Blob service, Queue service).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

# code: (status, message)
ERRORS: Mapping[str, tuple[int, str]] = MappingProxyType(
    {
        "AccountBeingCreated": (403, "The specified account is in the process of being created."),
        "AuthenticationFailed": (
            403,
            (
                "Server failed to authenticate the request. "
                "Make sure the value of Authorization header is formed correctly including the signature."
            ),
        ),
        "AuthorizationFailure": (403, "This request is not authorized to perform this operation."),
        "AuthorizationPermissionMismatch": (
            403,
            "This request is not authorized to perform this operation using this permission.",
        ),
        "AuthorizationProtocolMismatch": (
            403,
            "This request is not authorized to perform this operation using this protocol.",
        ),
        "AuthorizationResourceTypeMismatch": (
            403,
            "This request is not authorized to perform this operation using this resource type.",
        ),
        "AuthorizationServiceMismatch": (
            403,
            "This request is not authorized to perform this operation using this service.",
        ),
        "AuthorizationSourceIPMismatch": (
            403,
            "This request is not authorized to perform this operation using this source IP.",
        ),
        "BlobAlreadyExists": (409, "The specified blob already exists."),
        "BlobNotFound": (404, "The specified blob does not exist."),
        "BlockCountExceedsLimit": (
            409,
            "The uncommitted block count cannot exceed the maximum limit of 100,000 blocks.",
        ),
        "BlockListTooLong": (400, "The block list may not contain more than 50,000 blocks."),
        "CannotVerifyCopySource": (404, "The specified blob does not exist."),
        "ConditionNotMet": (
            412,
            "The condition specified using HTTP conditional header(s) is not met.",
        ),
        "ContainerAlreadyExists": (409, "The specified container already exists."),
        "ContainerNotFound": (404, "The specified container does not exist."),
        "EmptyMetadataKey": (400, "The key for one of the metadata key-value pairs is empty."),
        "InternalError": (500, "Server encountered an internal error. Please try again after some time."),
        "InvalidBlobOrBlock": (400, "The specified blob or block content is invalid."),
        "InvalidBlockId": (400, "The specified block ID is invalid. The block ID must be Base64-encoded."),
        "InvalidBlockList": (400, "The specified block list is invalid."),
        "InvalidHeaderValue": (400, "The value for one of the HTTP headers is not in the correct format."),
        "InvalidInput": (400, "One of the request inputs is not valid."),
        "InvalidMarker": (400, "The specified marker is invalid."),
        "InvalidMd5": (
            400,
            "The MD5 value specified in the request is invalid. MD5 value must be 128 bits and base64 encoded.",
        ),
        "InvalidMetadata": (
            400,
            "The metadata specified is invalid. It has characters that are not permitted.",
        ),
        "InvalidQueryParameterValue": (
            400,
            "Value for one of the query parameters specified in the request URI is invalid.",
        ),
        "InvalidRange": (416, "The range specified is invalid for the current size of the resource."),
        "InvalidResourceName": (400, "The specified resource name contains invalid characters."),
        "InvalidUri": (400, "The requested URI does not represent any resource on the server."),
        "InvalidXmlDocument": (400, "XML specified is not syntactically valid."),
        "LeaseAlreadyPresent": (409, "There is already a lease present."),
        "LeaseAlreadyBroken": (409, "The lease has already been broken and cannot be broken again."),
        "LeaseIdMismatchWithBlobOperation": (
            412,
            "The lease ID specified did not match the lease ID for the blob.",
        ),
        "LeaseIdMismatchWithContainerOperation": (
            412,
            "The lease ID specified did not match the lease ID for the container.",
        ),
        "LeaseIdMismatchWithLeaseOperation": (
            409,
            "The lease ID specified did not match the lease ID for the blob/container.",
        ),
        "LeaseIdMissing": (
            412,
            "There is currently a lease on the blob/container and no lease ID was specified in the request.",
        ),
        "LeaseIsBreakingAndCannotBeAcquired": (
            409,
            (
                "The lease ID matched, but the lease is currently in breaking state and cannot be acquired until it is "
                "broken."
            ),
        ),
        "LeaseIsBreakingAndCannotBeChanged": (
            409,
            "The lease ID matched, but the lease is currently in breaking state and cannot be changed.",
        ),
        "LeaseIsBrokenAndCannotBeRenewed": (
            409,
            "The lease ID matched, but the lease has been broken explicitly and cannot be renewed.",
        ),
        "LeaseLost": (412, "A lease ID was specified, but the lease for the blob/container has expired."),
        "LeaseNotPresentWithBlobOperation": (412, "There is currently no lease on the blob."),
        "LeaseNotPresentWithContainerOperation": (412, "There is currently no lease on the container."),
        "LeaseNotPresentWithLeaseOperation": (409, "There is currently no lease on the blob/container."),
        "Md5Mismatch": (
            400,
            "The MD5 value specified in the request did not match the MD5 value calculated by the server.",
        ),
        "MessageNotFound": (404, "The specified message does not exist."),
        "MessageTooLarge": (400, "The message exceeds the maximum allowed size."),
        "MetadataTooLarge": (400, "The size of the specified metadata exceeds the maximum size permitted."),
        "MissingContentLengthHeader": (411, "The Content-Length header was not specified."),
        "MissingRequiredHeader": (400, "An HTTP header that's mandatory for this request is not specified."),
        "MissingRequiredQueryParameter": (
            400,
            "A query parameter that's mandatory for this request is not specified.",
        ),
        "NoAuthenticationInformation": (
            401,
            "Server failed to authenticate the request. Refer to the information in the www-authenticate header.",
        ),
        "NotImplemented": (501, "The requested operation is not implemented on the specified resource."),
        "OutOfRangeInput": (400, "One of the request inputs is out of range."),
        "OutOfRangeQueryParameterValue": (
            400,
            "One of the query parameters specified in the request URI is outside the permissible range.",
        ),
        "PopReceiptMismatch": (
            400,
            "The specified pop receipt did not match the pop receipt for a dequeued message.",
        ),
        "PublicAccessNotPermitted": (409, "Public access is not permitted on this storage account."),
        "QueueAlreadyExists": (409, "The specified queue already exists."),
        "QueueNotFound": (404, "The specified queue does not exist."),
        "RequestBodyTooLarge": (
            413,
            "The request body is too large and exceeds the maximum permissible limit.",
        ),
        "ResourceNotFound": (404, "The specified resource does not exist."),
        "ServerBusy": (503, "The server is busy."),
        "TargetConditionNotMet": (
            412,
            "The target condition specified using HTTP conditional header(s) is not met.",
        ),
        "SourceConditionNotMet": (
            412,
            "The source condition specified using HTTP conditional header(s) is not met.",
        ),
        "UnsupportedHeader": (400, "One of the HTTP headers specified in the request is not supported."),
        "UnsupportedHttpVerb": (405, "The resource doesn't support specified Http Verb."),
    }
)


class StorageError(Exception):
    """What a client of the storage account hears.

    Attributes:
        code: Azure's code, a key of `ERRORS`.
        message: Azure's sentence unless another one says more.
        details: further elements of the XML body, as ``AuthenticationErrorDetail``.
        status: HTTP status.
    """

    def __init__(
        self, code: str, message: str | None = None, *, status: int | None = None, **details: str
    ) -> None:
        self.code = code
        self.status, usual = ERRORS[code]
        self.status = status or self.status
        self.message = message or usual
        self.details = details
        super().__init__(f"{code}: {self.message}")
