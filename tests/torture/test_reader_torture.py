"""Long runs of the tag readers' codecs and driver; ``make torture`` (TALLYGATE_TORTURE scales them)."""

from __future__ import annotations

import os
import random

import pytest

from hal.reader.events import Tag
from hal.reader.families import codec
from tests.support.noise import noisy
from tests.support.readerfaults import abuse
from tests.support.readers import FAMILIES, spec

SCALE = float(os.environ.get("TALLYGATE_TORTURE", "1"))

pytestmark = [pytest.mark.torture, pytest.mark.parametrize("protocol", FAMILIES)]


@pytest.mark.parametrize("seed", range(10))
def test_no_intact_frame_is_lost_in_a_long_noisy_stream(protocol: str, seed: int) -> None:
    rng, one = random.Random(seed), spec(protocol)
    ours = codec(protocol)
    lost = wrong = frames = 0
    for _ in range(int(200 * SCALE)):
        sent = list(noisy(one.tag, rng, 100, bad=0.05, junk=0.03))
        stream = b"".join(frame.junk + frame.frame for frame in sent)
        got, at = [], 0
        while at < len(stream):
            size = rng.randint(1, 64)
            got += ours.feed(stream[at : at + size])
            assert ours.pending < one.max_frame
            at += size
        got += ours.idle()
        epcs = [event.epc for event in got if isinstance(event, Tag)]
        lost += len({frame.epc for frame in sent if frame.intact} - set(epcs))
        wrong += len(set(epcs) - {frame.epc for frame in sent})
        frames += 100
    # A protocol whose frames have only an 8-bit sum lets one damaged frame in 256 or so through.
    most = frames // 1000 if one.invents else 0
    assert lost <= most
    assert wrong <= most


@pytest.mark.parametrize("seed", range(1000, 1000 + int(100 * SCALE)))
def test_the_reader_recovers_from_a_long_day_of_faults(protocol: str, seed: int) -> None:
    abuse(protocol, seed, 300)
