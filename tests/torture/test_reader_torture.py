"""Long runs of the tag reader's codec and driver; ``make torture`` (TALLYGATE_TORTURE scales them)."""

from __future__ import annotations

import os
import random

import pytest

from hal.reader.yrm100 import MAX_FRAME, Codec, Tag, encode_tag
from tests.support.readerfaults import abuse

SCALE = float(os.environ.get("TALLYGATE_TORTURE", "1"))

pytestmark = pytest.mark.torture


@pytest.mark.parametrize("seed", range(10))
def test_no_intact_frame_is_lost_in_a_long_noisy_stream(seed: int) -> None:
    rng = random.Random(seed)
    codec = Codec()
    lost = wrong = 0
    for _ in range(int(200 * SCALE)):
        intact, stream = [], bytearray()
        for _ in range(100):
            data = bytearray(encode_tag(Tag(rng.randbytes(12), 0x3000, -rng.randint(30, 80))))
            dice = rng.random()
            if dice < 0.05:
                del data[rng.randrange(len(data))]
            elif dice < 0.10:
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            else:
                intact.append(bytes(data[8:-4]))
            if dice > 0.97:
                stream += rng.randbytes(rng.randint(1, 19))
            stream += data
        got, at = [], 0
        while at < len(stream):
            size = rng.randint(1, 64)
            got += codec.feed(bytes(stream[at : at + size]))
            assert codec.pending < MAX_FRAME
            at += size
        got += codec.idle()
        epcs = [event.epc for event in got if isinstance(event, Tag)]
        lost += len([epc for epc in intact if epc not in epcs])
        wrong += len([epc for epc in epcs if epc not in intact])
    assert (lost, wrong) == (0, 0)


@pytest.mark.parametrize("seed", range(1000, 1000 + int(200 * SCALE)))
def test_the_reader_recovers_from_a_long_day_of_faults(seed: int) -> None:
    abuse(seed, 300)
