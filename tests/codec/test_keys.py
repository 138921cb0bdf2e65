"""The key set document."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.wire.keys import KeySet, KeySetError, parse_key_set

A, B = "aa" * 32, "bb" * 32


@given(
    st.dictionaries(st.integers(0, 255), st.binary(min_size=32, max_size=32)),
    st.frozensets(st.integers(0, 255)),
)
def test_round_trip(keys: dict[int, bytes], revoked: frozenset[int]) -> None:
    assert parse_key_set(KeySet(keys, revoked).encode()) == KeySet(keys, revoked)


def test_a_revoked_key_is_not_active() -> None:
    key_set = parse_key_set(f'{{"keys": {{"1": "{A}", "2": "{B}"}}, "revoked_keys": [1, 9]}}'.encode())
    assert key_set.active == {2: bytes.fromhex(B)}
    assert key_set.keys[1] == bytes.fromhex(A)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON"),
        ("{}", "missing key keys"),
        (f'{{"keys": {{"1": "{A}"}}}}', "missing key revoked_keys"),
        ('{"keys": {}, "revoked_keys": [], "secret": 1}', "unknown key"),
        ('{"keys": [], "revoked_keys": []}', "must be an object"),
        ('{"keys": {}, "revoked_keys": ["1"]}', "list of key ids"),
        ('{"keys": {}, "revoked_keys": [true]}', "list of key ids"),
        ('{"keys": {}, "revoked_keys": {}}', "list of key ids"),
        ('{"keys": {}, "revoked_keys": [256]}', "from 0 to 255"),
        (f'{{"keys": {{"256": "{A}"}}, "revoked_keys": []}}', "key id 256"),
        (f'{{"keys": {{"01": "{A}"}}, "revoked_keys": []}}', "'01'"),
        (f'{{"keys": {{"-1": "{A}"}}, "revoked_keys": []}}', "'-1'"),
        (f'{{"keys": {{"²": "{A}"}}, "revoked_keys": []}}', "key id"),
        (f'{{"keys": {{"one": "{A}"}}, "revoked_keys": []}}', "'one'"),
        (f'{{"keys": {{"1": "{A[2:]}"}}, "revoked_keys": []}}', "64 hex digits"),
        (f'{{"keys": {{"1": "{A[:-1]}g"}}, "revoked_keys": []}}', "64 hex digits"),
        (f'{{"keys": {{"1": "{A[:-2]}  "}}, "revoked_keys": []}}', "has 31 bytes"),
        ('{"keys": {"1": 5}, "revoked_keys": []}', "64 hex digits"),
        (f'{{"keys": {{"1": "{A}", "1": "{B}"}}, "revoked_keys": []}}', "given twice"),
    ],
)
def test_a_bad_document_says_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(KeySetError, match=message):
        parse_key_set(text.encode())


@given(st.binary(max_size=300))
def test_any_bytes_give_a_key_set_error_and_nothing_else(text: bytes) -> None:
    with pytest.raises(KeySetError):
        parse_key_set(text)
