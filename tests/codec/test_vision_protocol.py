"""The pipe between camera child and loop: whole, byte by byte, with garbage, at its bounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hal.vision.protocol import (
    MAX_CODE,
    MAX_MESSAGE,
    Alive,
    CodeRead,
    Gone,
    Noted,
    ProtocolError,
    Ready,
    Unpacker,
    pack,
)

_times = st.floats(0, 1e9)
_texts = st.text(max_size=40)
_messages = st.one_of(
    st.builds(Ready, st.integers(1, 2**31), _texts),
    st.builds(CodeRead, st.binary(max_size=MAX_CODE), _times, _times, st.floats(0, 1), _texts),
    st.builds(Alive, st.integers(0, 2**40), _times),
    st.builds(Noted, _texts, _texts, _times),
    st.builds(Gone, _texts, _texts, _times),
)


@given(st.lists(_messages, max_size=8), st.integers(1, 50))
def test_round_trip_in_any_chunks(messages, size):
    stream = b"".join(map(pack, messages))
    unpacker = Unpacker()
    received = []
    for start in range(0, len(stream), size):
        received += unpacker.feed(stream[start : start + size])
    assert received == messages


@given(st.binary(max_size=5000))
def test_garbage_is_an_error_or_a_bounded_wait(garbage):
    unpacker = Unpacker()
    try:
        unpacker.feed(garbage)
    except ProtocolError:
        return
    assert len(unpacker._buffer) < MAX_MESSAGE + 2


@given(_messages, st.data())
def test_flipped_byte_never_raises_anything_else(message, data):
    framed = bytearray(pack(message))
    framed[data.draw(st.integers(0, len(framed) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        Unpacker().feed(bytes(framed))
    except ProtocolError:
        pass


@pytest.mark.parametrize("length", [0, MAX_MESSAGE + 1, 0xFFFF])
def test_announced_length_out_of_bounds(length):
    with pytest.raises(ProtocolError, match=str(length)):
        Unpacker().feed(length.to_bytes(2, "big") + b"x")


@pytest.mark.parametrize("length", [0, 255, 256, MAX_CODE])
def test_payload_lengths(length):
    message = CodeRead(b"\xff" * length, 1.0, 2.0, 0.4, "zxing")
    assert Unpacker().feed(pack(message)) == [message]


def test_long_payload_is_cut_but_still_seen_as_too_long():
    (message,) = Unpacker().feed(pack(CodeRead(b"x" * 2953, 1.0, 2.0, 0.4, "zxing")))
    assert isinstance(message, CodeRead)
    assert len(message.data) == MAX_CODE + 1


def test_long_texts_are_cut():
    for message in (Noted("n" * 9999, "d" * 9999, 1.0), Gone("\U0001f6aa" * 9999, "é" * 9999, 1.0)):
        assert len(Unpacker().feed(pack(message))) == 1


def test_no_payload_in_repr():
    assert "secret" not in repr(CodeRead(b"secret", 1.0, 2.0, 0.4, "zxing"))
