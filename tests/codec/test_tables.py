"""Pushed tables: bytes both ways, and a board that is exactly what the shop published, or asks."""

from __future__ import annotations

import hashlib
import struct

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.wire import tables
from firmware.wire.asks import AskError, TableQuestion, decode_table_question, decode_time_answer, time_answer
from firmware.wire.tables import (
    MAX_DATA,
    MAX_MESSAGE,
    MAX_VERSION,
    Delta,
    Snapshot,
    Spec,
    TableError,
    Verdict,
    decode_delta,
    decode_snapshot,
    delta_between,
    snapshot_of,
    take_answer,
    take_delta,
    take_snapshot,
)

SIZE = 8
entry = st.binary(min_size=SIZE, max_size=SIZE)
versions = st.one_of(st.integers(1, 300), st.integers(1, MAX_VERSION))
snapshots = st.builds(snapshot_of, versions, st.just(SIZE), st.frozensets(entry, max_size=40))
documents = st.builds(Snapshot, versions, st.just(0), st.binary(max_size=400))


def digest(data: bytes, version: int = 1, entry_size: int = SIZE) -> bytes:
    return hashlib.sha256(struct.pack(">QB", version, entry_size) + data).digest()


def digest_of(found: Snapshot) -> bytes:
    return digest(found.data, found.version, found.entry_size)


@given(st.one_of(snapshots, documents))
def test_a_snapshot_comes_back_and_is_plain_cbor(found: Snapshot) -> None:
    payload = found.encode()
    assert decode_snapshot(payload) == found
    assert payload == cbor2.dumps([1, found.version, digest_of(found), found.entry_size, found.data])


@given(snapshots, snapshots)
def test_a_delta_comes_back_is_plain_cbor_and_leads_there(one: Snapshot, other: Snapshot) -> None:
    delta = delta_between(one, other)
    if other.version <= one.version:
        assert delta is None
        return
    assert delta is not None
    assert decode_delta(delta.encode()) == delta
    fields = [1, one.version, other.version, digest_of(other), delta.add, delta.remove]
    assert delta.encode() == cbor2.dumps(fields)
    assert take_delta(one, delta) == other


@given(st.one_of(snapshots, documents), st.data())
def test_a_damaged_snapshot_is_refused(found: Snapshot, data: st.DataObject) -> None:
    payload = bytearray(found.encode())
    at = data.draw(st.integers(0, len(payload) - 1))
    payload[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(TableError):
        decode_snapshot(bytes(payload))


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_or_are_the_one_spelling(payload: bytes) -> None:
    for start in (b"", b"\x85\x01", b"\x86\x01"):
        for decode in (decode_snapshot, decode_delta):
            try:
                assert decode(start + payload).encode() == start + payload
            except TableError:
                pass


def test_every_cut_and_every_tail_is_refused() -> None:
    whole = snapshot_of(300, SIZE, [b"A" * 8, b"B" * 8])
    delta = delta_between(snapshot_of(299, SIZE, []), whole)
    assert delta is not None
    for payload, decode in ((whole.encode(), decode_snapshot), (delta.encode(), decode_delta)):
        for length in range(len(payload)):
            with pytest.raises(TableError):
                decode(payload[:length])
        with pytest.raises(TableError):
            decode(payload + b"\x00")


@pytest.mark.parametrize(
    "fields",
    [
        [2, 1, digest(b""), 8, b""],
        [1, 0, digest(b"", 0), 8, b""],
        [1, MAX_VERSION + 1, digest(b"", MAX_VERSION + 1), 8, b""],
        [1, -1, digest(b""), 8, b""],
        [1, 1, digest(b"")[:31], 8, b""],
        [1, 1, digest(b"A" * 9), 8, b"A" * 9],
        [1, 1, digest(b"B" * 8 + b"A" * 8), 8, b"B" * 8 + b"A" * 8],
        [1, 1, digest(b"A" * 16), 8, b"A" * 16],
        [1, 1, digest(b"", 1, 65), 65, b""],
        [1, 1, digest(b""), 8, ""],
        [1, 1, digest(b""), 8, [b""]],
        [1, 1, digest(b"x"), 8, b""],
        [1, 1.0, digest(b""), 8, b""],
        [1, 1, digest(b""), 8],
        [1, 1, digest(b""), 8, b"", 0],
    ],
)
def test_what_is_no_snapshot(fields: list[object]) -> None:
    with pytest.raises(TableError):
        decode_snapshot(cbor2.dumps(fields))


def test_longer_spellings_and_hostile_lengths_are_refused() -> None:
    good = Snapshot(5, 0, b"x").encode()
    assert good[2] == 5
    for spelled in (b"\x18\x05", b"\x1b" + (5).to_bytes(8, "big")):
        with pytest.raises(TableError, match="shortest"):
            decode_snapshot(good[:2] + spelled + good[3:])
    for hostile in (b"\x85\x01\x9b" + b"\xff" * 8, b"\x85\x01\x01\x5b" + b"\xff" * 8, b"\x85" * 40000):
        with pytest.raises(TableError):
            decode_snapshot(hostile)
    with pytest.raises(TableError, match="at most"):
        decode_snapshot(good + bytes(MAX_MESSAGE))


def test_the_bounds_are_those_of_a_message() -> None:
    assert len(Snapshot(MAX_VERSION, 0, bytes(MAX_DATA)).encode()) <= MAX_MESSAGE
    full = snapshot_of(MAX_VERSION, 8, [n.to_bytes(8, "big") for n in range(MAX_DATA // 8)])
    assert decode_snapshot(full.encode()) == full
    with pytest.raises(TableError, match="at most"):
        Snapshot(1, 0, bytes(MAX_DATA + 1))
    empty = Snapshot(1, 8, b"")
    delta = delta_between(empty, full)
    assert delta is not None
    assert len(delta.encode()) <= MAX_MESSAGE
    other = snapshot_of(MAX_VERSION, 8, [(n + 10**6).to_bytes(8, "big") for n in range(MAX_DATA // 8)])
    assert delta_between(Snapshot(1, 8, full.data), other) is None
    with pytest.raises(TableError, match="carries"):
        Delta(1, 2, bytes(32), bytes(MAX_DATA), bytes(8))


def test_the_rules_of_taking() -> None:
    one, two = snapshot_of(1, 8, [b"A" * 8]), snapshot_of(2, 8, [b"B" * 8])
    other = snapshot_of(2, 8, [b"C" * 8])
    assert take_snapshot(None, one) == one
    assert take_snapshot(one, two) == two
    assert take_snapshot(two, two) is Verdict.KNOWN
    assert take_snapshot(two, one) is Verdict.ASK  # a crashed broker shows an old one
    assert take_snapshot(two, other) is Verdict.ASK  # a ledger that was restored
    assert take_answer(two, one) == one
    assert take_answer(two, other) == other
    assert take_answer(two, two) is Verdict.KNOWN
    delta = delta_between(one, two)
    assert delta is not None
    assert take_delta(None, delta) is Verdict.ASK
    assert take_delta(two, delta) is Verdict.KNOWN
    assert take_delta(other, delta) is Verdict.ASK
    assert take_delta(snapshot_of(1, 8, [b"Z" * 8]), delta) is Verdict.ASK
    assert take_delta(snapshot_of(3, 8, []), delta) is Verdict.KNOWN
    assert take_delta(Snapshot(1, 0, b"{}"), delta) is Verdict.ASK
    late = delta_between(two, snapshot_of(9, 8, []))
    assert late is not None
    assert take_delta(one, late) is Verdict.ASK
    assert take_delta(one, Delta(1, 2, two.sha256, b"short", b"")) is Verdict.ASK


changes = st.lists(
    st.frozensets(st.sampled_from([bytes([n]) * 8 for n in range(12)])), min_size=1, max_size=8
)


@given(changes, st.data())
def test_whatever_is_lost_repeated_or_reordered_a_board_is_right_or_asks(
    contents: list[frozenset[bytes]], data: st.DataObject
) -> None:
    published = [snapshot_of(version, 8, content) for version, content in enumerate(contents, 1)]
    messages: list[Snapshot | Delta] = list(published)
    messages += [d for a, b in zip(published, published[1:], strict=False) if (d := delta_between(a, b))]
    damaged = Delta(1, 2, digest(b"no such content"), b"D" * 8, b"")
    arriving = data.draw(st.lists(st.sampled_from([*messages, damaged]), max_size=20))
    have: Snapshot | None = None
    asks = False
    # The broker keeps the newest snapshot: it comes at the latest with the next connection.
    for message in [*arriving, published[-1]]:
        found = take_snapshot(have, message) if isinstance(message, Snapshot) else take_delta(have, message)
        if isinstance(found, Snapshot):
            have, asks = found, False
        else:
            asks = asks or found is Verdict.ASK
        assert have is None or have == published[have.version - 1]
    assert have == published[-1]
    answer = take_answer(have, published[-1])
    assert answer is Verdict.KNOWN or answer == published[-1]


@given(snapshots, snapshots)
def test_after_the_answer_a_board_has_what_the_shop_has(board: Snapshot, shop: Snapshot) -> None:
    pushed = take_snapshot(board, shop)
    if pushed is Verdict.ASK:
        pushed = take_answer(board, shop)
    assert pushed == shop or (pushed is Verdict.KNOWN and board == shop)


def test_buckets_by_the_first_byte() -> None:
    assert Spec(8).bucket_of(b"\xff" * 8) == "0"
    assert {Spec(8, 256).bucket_of(bytes([n])) for n in range(256)} == set(Spec(8, 256).names())
    assert [Spec(8, 4).bucket_of(bytes([n])) for n in (0, 63, 64, 255)] == ["0", "0", "1", "3"]
    assert set(tables.SPECS) == {"revoked", "keys", "prices"}


def test_questions_and_answers() -> None:
    question = TableQuestion("revoked", "0")
    assert decode_table_question(question.encode()) == question
    bad = (
        b"",
        b"[]",
        b"{}",
        b'{"table":"revoked"}',
        b'{"table":1,"bucket":"0"}',
        b'{"table":"#","bucket":"0"}',
    )
    for payload in (*bad, b'{"table":"revoked","bucket":"0","x":1}', b" " * 300):
        with pytest.raises(AskError):
            decode_table_question(payload)
    assert decode_time_answer(time_answer(1_790_000_000_000)) == 1_790_000_000_000
    for payload in (b"{}", b'{"wall_ms":-1}', b'{"wall_ms":1.5}', b'{"wall_ms":true}', b'{"wall_ms":1e400}'):
        with pytest.raises(AskError):
            decode_time_answer(payload)
