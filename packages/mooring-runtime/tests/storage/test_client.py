"""The storage client's pure parts; the calls themselves are tried against real services in tests/e2e."""

import base64

import pytest

from mooring_runtime.storage.connection import ConnectionInvalid, parse_connection
from mooring_runtime.storage.shared_key import authorization

KEY = base64.b64encode(b"secret").decode()


def test_endpoints_follow_from_the_name_or_are_given() -> None:
    azure = parse_connection(
        f"DefaultEndpointsProtocol=https;AccountName=n;AccountKey={KEY};EndpointSuffix=x.net"
    )
    assert (azure.blob, azure.queue, azure.key) == (
        "https://n.blob.x.net",
        "https://n.queue.x.net",
        b"secret",
    )
    own = parse_connection(f" AccountName=n; AccountKey={KEY};BlobEndpoint=http://h:1/n/;")
    assert (own.blob, own.queue) == ("http://h:1/n", "https://n.queue.core.windows.net")
    signed = parse_connection("BlobEndpoint=http://h:1/acct;SharedAccessSignature=?sv=1&sig=a%3D")
    assert (signed.name, signed.sas, signed.key) == ("acct", "sv=1&sig=a%3D", b"")
    assert parse_connection("UseDevelopmentStorage=true").name == "devstoreaccount1"
    assert "secret" not in repr(azure)
    assert KEY not in repr(azure)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "AccountName is missing"),
        ("nonsense", "no name=value"),
        ("AccountName=n", "AccountKey is missing"),
        ("AccountName=n;AccountKey=%%%", "not Base64"),
        (f"AccountName=n;AccountKey={KEY};BlobEndpoint=ftp://x", "BlobEndpoint is no http"),
        (f"AccountKey={KEY}", "AccountName is missing"),
    ],
)
def test_a_typo_in_a_connection_string_is_found(text: str, why: str) -> None:
    with pytest.raises(ConnectionInvalid, match=why):
        parse_connection(text)


def test_the_signature_is_azures() -> None:
    """The value was made with azure-storage-blob 12.31 for the same request."""
    headers = {
        "content-length": "3",
        "content-type": "text/plain",
        "x-ms-version": "2021-12-02",
        "x-ms-date": "Sat, 21 Nov 2026 12:00:00 GMT",
        "x-ms-blob-type": "BlockBlob",
    }
    query = [("comp", "block"), ("blockid", "a=")]
    signed = authorization("acct", b"secret", "PUT", "/acct/input/a%20b.json", query, headers)
    assert signed == EXPECTED


EXPECTED = "SharedKey acct:R1jT40QYlya4V94ggnSLN0AO9h+wnpOxU+2biwIcusc="
