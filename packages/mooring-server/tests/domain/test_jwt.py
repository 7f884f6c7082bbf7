"""Tokens of sign-ins: nobody else's, none that is over, none that is something else."""

import base64
import json

from hypothesis import given
from hypothesis import strategies as st

from mooring_server.domain.jwt import decode, encode

KEY = b"key"


def test_what_was_signed_comes_back_until_it_is_over() -> None:
    claims = {"sub": "me", "exp": 10}
    token = encode(claims, KEY)
    assert decode(token, KEY, 9) == claims
    assert decode(token, KEY, 10) is None
    assert decode(token, b"other", 9) is None


def test_a_header_that_asks_for_no_signature_is_not_believed() -> None:
    def part(data: dict[str, object]) -> str:
        return base64.urlsafe_b64encode(json.dumps(data).encode()).rstrip(b"=").decode()

    assert decode(f"{part({'alg': 'none'})}.{part({'exp': 99})}.", KEY, 1) is None


@given(st.text() | st.builds(".".join, st.lists(st.text(max_size=5), min_size=3, max_size=3)))
def test_any_text_is_refused_quietly(text: str) -> None:
    assert decode(text, KEY, 0) is None


@given(st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_a_changed_byte_is_noticed(at: int, by: int) -> None:
    token = bytearray(encode({"exp": 99, "sub": "me"}, KEY), "ascii")
    # The last character of a part may have bits that mean nothing.
    at %= len(token) - 1
    token[at] = (token[at] + by) % 256
    changed = token.decode("latin-1")
    assert decode(changed, KEY, 1) is None
