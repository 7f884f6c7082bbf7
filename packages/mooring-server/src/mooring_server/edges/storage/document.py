"""Bodies of requests in XML."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from mooring_server.domain.storage.errors import StorageError


def parse_document(data: bytes, root: str) -> ET.Element:
    """The document, whose root element has that name.

    Raises:
        StorageError: ``InvalidXmlDocument``; also for a document type, since entities can grow without bound.
    """
    if b"<!" in data:
        raise StorageError("InvalidXmlDocument")
    try:
        document = ET.fromstring(data)  # noqa: S314 - without a document type there are no entities
    except (ET.ParseError, ValueError, LookupError):
        raise StorageError("InvalidXmlDocument") from None
    if document.tag != root:
        raise StorageError("InvalidXmlDocument")
    return document
