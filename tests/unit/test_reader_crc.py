"""The readers' CRCs against their published check values and a bit-by-bit definition."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hal.reader.crc import genibus, mcrf4xx, thingmagic

CHECK = b"123456789"


@pytest.mark.parametrize(("crc", "value"), [(genibus, 0xD64E), (thingmagic, 0xA69D), (mcrf4xx, 0x6F91)])
def test_check_values(crc, value):
    assert crc(CHECK) == crc(bytearray(CHECK)) == value


@given(st.binary(max_size=40))
def test_thingmagic_is_the_non_augmented_register(data):
    register = 0xFFFF
    for byte in data:
        for shift in range(7, -1, -1):
            out = register & 0x8000
            register = (register << 1 | byte >> shift & 1) & 0xFFFF
            register ^= 0x1021 if out else 0
    assert thingmagic(data) == register


@given(st.binary(max_size=40))
def test_mcrf4xx_is_the_reflected_register(data):
    register = 0xFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0x8408 if register & 1 else 0)
    assert mcrf4xx(data) == register
    assert mcrf4xx(data + register.to_bytes(2, "little")) == 0


def test_captured_frames_hold():
    thingmagic_stop = bytes.fromhex("032F0000025E86")
    assert thingmagic(thingmagic_stop[:-2]) == 0x5E86
    assert mcrf4xx(bytes.fromhex("04FF211995")) == 0
    assert genibus(bytes.fromhex("3400E20010710000529B0940B402")) == 0x163D
