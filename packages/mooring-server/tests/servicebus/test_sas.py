import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring_server.servicebus.entities import Entities, Namespace, Rule
from mooring_server.servicebus.sas import BadToken, Grant, path_of, sign, verify

ALL = ("Listen", "Manage", "Send")
ENTITIES = Entities(
    (
        Namespace(
            "one", (), (Rule("Root", "", ALL, ("key1", "key2")), Rule("s", "input", ("Send",), ("a", "b")))
        ),
        Namespace("two", (), (Rule("Root", "", ALL, ("key3", "key4")),)),
    )
)


@pytest.mark.parametrize(
    ("key", "namespace"), [("key1", "one"), ("key2", "one"), ("key3", "two"), ("key4", "two")]
)
def test_the_key_tells_which_namespace_is_meant(key: str, namespace: str) -> None:
    grant = verify(sign("sb://host:5671/Orders", "Root", key, 100), ENTITIES, 50)
    assert (grant.namespace, grant.scope, grant.rights, grant.expires) == (namespace, "orders", ALL, 100)


def test_a_grant_is_for_its_path_its_queue_its_rights_and_its_time() -> None:
    grant = verify(sign("sb://host/orders", "Root", "key1", 100), ENTITIES, 50)
    assert grant.allows("orders", "Listen", 99)
    assert grant.allows("orders/$deadletterqueue", "Listen", 99)
    assert not grant.allows("orders", "Listen", 100)
    assert not grant.allows("orders2", "Listen", 99)
    assert not grant.allows("other", "Listen", 99)
    everywhere = verify(sign("sb://host/", "Root", "key1", 100), ENTITIES, 50)
    assert everywhere.allows("anything", "Send", 99)
    narrow = verify(sign("sb://host/", "s", "a", 100), ENTITIES, 50)
    assert narrow.allows("input", "Send", 99)
    assert not narrow.allows("input", "Listen", 99)
    assert not narrow.allows("orders", "Send", 99)
    dead = verify(sign("sb://host/orders/$DeadLetterQueue", "Root", "key1", 100), ENTITIES, 50)
    assert not dead.allows("orders", "Listen", 99)


@pytest.mark.parametrize(
    ("token", "word"),
    [
        ("", "Malformed"),
        ("Bearer x", "Malformed"),
        ("SharedAccessSignature sr=a&sig=b&se=1", "Malformed"),
        ("SharedAccessSignature sr=a&sig=b&se=1&skn=Root&skn=Root", "Malformed"),
        ("SharedAccessSignature sr=a&sig=!&se=1&skn=Root", "InvalidSignature"),
        ("SharedAccessSignature sr=a&sig=YQ==&se=soon&skn=Root", "InvalidSignature"),
        (sign("sb://host/q", "Root", "other", 100), "InvalidSignature"),
        (sign("sb://host/q", "Nobody", "key1", 100), "InvalidSignature"),
        (sign("sb://host/q", "Root", "key1", 100).replace("host", "evil"), "InvalidSignature"),
        (sign("sb://host/q", "Root", "key1", 100).replace("se=100", "se=999"), "InvalidSignature"),
        (sign("sb://host/q", "Root", "key1", 50), "Expired"),
    ],
)
def test_bad_tokens(token: str, word: str) -> None:
    with pytest.raises(BadToken, match=word):
        verify(token, ENTITIES, 50)


@given(st.text())
def test_any_text_is_a_bad_token(text: str) -> None:
    for token in (
        text,
        f"SharedAccessSignature {text}",
        f"SharedAccessSignature sr={text}&sig=a&se=1&skn=Root",
    ):
        with pytest.raises(BadToken):
            verify(token, ENTITIES, 0)


def test_paths() -> None:
    assert path_of("sb://host:1/A/B/") == "a/b"
    assert path_of("amqps://host") == ""
    assert path_of("Orders/$management") == "orders/$management"
    assert isinstance(verify(sign("x", "Root", "key1", 9), ENTITIES, 0), Grant)
