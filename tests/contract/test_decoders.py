"""The decoder port, held against every decoder; zbar only ever in its own process."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hal.decoder.port import Code
from hal.decoder.zxing import Zxing
from hal.sim.scene import place, render, wall
from hal.vision import child_process
from hal.vision.second import MAX_DEATHS, PAUSE_S, ZbarProcess
from tests.support import qrimages

Read = Callable[[np.ndarray], list[Code]]
PASS = "TG1:" + "A1" * 93


class Notes(list):
    def __call__(self, name: str, detail: str) -> None:
        self.append((name, detail))


@pytest.fixture(scope="module")
def zbar() -> Iterator[ZbarProcess]:
    process = ZbarProcess(Notes(), limit_s=10.0)
    yield process
    process.close()


@pytest.fixture(params=["zxing", "zxing-other-binarizer", "zbar"])
def read(request: pytest.FixtureRequest) -> Read:
    if request.param == "zbar":
        process: ZbarProcess = request.getfixturevalue("zbar")

        def ask(gray: np.ndarray) -> list[Code]:
            codes = process.read(gray, "raw")
            assert codes is not None, "the zbar child did not answer"
            return codes

        return ask
    return Zxing(second_binarizer=request.param != "zxing").read


def test_pass_is_read_with_its_place(read: Read) -> None:
    (code,) = read(render(PASS, height_share=0.4, centre=(0.3, 0.6)))
    assert code.data == PASS.encode()
    assert 0.35 < code.share < 0.45
    assert code.corners[0] == pytest.approx((0.3 - 0.15, 0.6 - 0.2), abs=0.03)
    assert 0.18 < code.offset < 0.27


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_rotated_frame_is_read(read: Read, turns: int) -> None:
    (code,) = read(np.ascontiguousarray(np.rot90(render(PASS, height_share=0.5), turns)))
    assert code.data == PASS.encode()


def test_frame_cut_out_of_padded_rows_is_read(read: Read) -> None:
    padded = np.zeros((480, 768), np.uint8)
    padded[:, :640] = render(PASS)
    cut = padded[:, :640]
    assert not cut.flags.c_contiguous
    assert [code.data for code in read(cut)] == [PASS.encode()]


def test_two_codes_are_both_returned_at_their_places(read: Read) -> None:
    gray = wall(noise=0)
    place(gray, qrimages.code(qrimages.byte_segment(b"left")), height_share=0.5, centre=(0.27, 0.5))
    place(gray, qrimages.code(qrimages.byte_segment(b"right")), height_share=0.3, centre=(0.78, 0.5))
    found = {code.data: code for code in read(gray)}
    assert set(found) == {b"left", b"right"}
    assert found[b"left"].area > found[b"right"].area
    assert max(x for x, _ in found[b"left"].corners) < 0.6 < min(x for x, _ in found[b"right"].corners)


def test_picture_without_code_gives_none(read: Read) -> None:
    assert read(wall()) == []
    assert read(np.zeros((1, 1), np.uint8)) == []


def test_micro_qr_is_not_read(read: Read) -> None:
    assert read(qrimages.picture(qrimages.micro_qr())) == []


@pytest.mark.parametrize("other", [False, True])
def test_zxing_survives_every_hostile_code_and_opens_nothing(other: bool) -> None:
    decoder = Zxing(second_binarizer=other)
    for name, gray in qrimages.hostile().items():
        for code in decoder.read(gray):
            assert not code.data.startswith(b"TG1:") or name == "long", name


def test_zxing_survives_random_segment_codes() -> None:
    decoder = Zxing()
    read = sum(bool(decoder.read(gray)) for gray in qrimages.random_codes(300, seed=2))
    assert read > 5  # the pictures themselves are readable: what is not read breaks a rule inside


def test_zxing_reads_mirrored_and_inverted() -> None:
    hostile = qrimages.hostile()
    for name in ("mirrored", "inverted"):
        assert [code.data for code in Zxing().read(hostile[name])] == [b"HELLO-TALLYGATE"], name


def test_zxing_reads_36_codes_in_one_frame() -> None:
    texts = [b"TG1:code-%02d" % number for number in range(36)]
    assert sorted(code.data for code in Zxing().read(qrimages.many(texts))) == texts


@given(st.binary(min_size=1, max_size=100))
def test_zxing_bytes_are_lossless(payload: bytes) -> None:
    modules = np.pad(qrimages.code(qrimages.byte_segment(payload)), 4)
    gray = np.kron(np.where(modules, 10, 245), np.ones((3, 3), int)).astype(np.uint8)
    assert [code.data for code in Zxing().read(gray)] == [payload]


def test_zbar_reads_what_zxing_does_not(zbar: ZbarProcess) -> None:
    gray = qrimages.without_quiet_zone(qrimages.code(qrimages.byte_segment(b"no quiet zone")))
    assert Zxing().read(gray) == []
    codes = zbar.read(gray, "raw")
    assert codes is not None
    assert [(code.data, code.decoder) for code in codes] == [(b"no quiet zone", "zbar")]


@pytest.mark.parametrize(("variant", "invert"), [("half", False), ("inverted", True)])
def test_zbar_variants_read(zbar: ZbarProcess, variant: str, invert: bool) -> None:
    gray = render(PASS, height_share=0.6)
    codes = zbar.read(255 - gray if invert else gray, variant)
    assert codes is not None
    assert [code.data for code in codes] == [PASS.encode()]
    assert codes[0].share == pytest.approx(0.6, abs=0.05)


def test_zbar_drops_payloads_that_it_would_rewrite(zbar: ZbarProcess) -> None:
    assert zbar.read(qrimages.hostile()["not-utf-8"], "raw") == []


@pytest.mark.parametrize("name", ["eci-0", "eci-1"])
def test_zbar_child_dies_of_a_legal_code_and_is_replaced(name: str) -> None:
    notes = Notes()
    process = ZbarProcess(notes)
    try:
        assert process.read(render(PASS), "raw")
        first = process.pid
        assert process.read(qrimages.hostile()[name], "raw") is None
        assert notes == [("decoder_restarts", "zbar child: it was ended by SIGABRT")]
        assert process.read(render(PASS), "raw")
        assert process.pid != first
    finally:
        process.close()


def test_zbar_child_that_hangs_is_killed_in_time_and_replaced() -> None:
    notes = Notes()
    process = ZbarProcess(notes, limit_s=1.0)
    try:
        assert process.read(qrimages.finder_mosaic(), "raw") is None
        assert len(notes) == 1
        assert "time limit" in notes[0][1]
        assert process.read(render(PASS), "raw")
    finally:
        process.close()


def test_zbar_child_is_recycled_as_planned() -> None:
    notes = Notes()
    process = ZbarProcess(notes, recycle_after=3)
    try:
        assert process.read(wall(), "raw") == []
        first = process.pid
        for _ in range(4):
            assert process.read(wall(), "raw") is not None
        assert process.pid != first
        assert [name for name, _ in notes] == ["decoder_recycled"]
    finally:
        process.close()


def test_zbar_child_survives_or_is_replaced_over_random_codes() -> None:
    process = ZbarProcess(Notes())
    rng = random.Random(5)
    try:
        for gray in qrimages.random_codes(60, seed=rng.randrange(1000)):
            for code in process.read(gray, "raw") or []:
                assert not code.data.startswith(b"TG1:")
        assert process.read(render(PASS), "half") or process.read(render(PASS), "half")
    finally:
        process.close()


def test_zbar_that_is_not_installed_is_said_once_and_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    real = child_process.start
    started = []

    def without_zbar(module: str, *rest: object, **how: object) -> object:
        started.append(module)
        return real("tests.support.zbar_missing", *rest, **how)

    monkeypatch.setattr(child_process, "start", without_zbar)
    notes = Notes()
    process = ZbarProcess(notes)
    try:
        assert process.read(wall(), "raw") is None
        assert process.read(wall(), "raw") is None
    finally:
        process.close()
    assert len(started) == 1
    ((name, detail),) = notes
    assert name == "decoder_missing"
    assert "No module named 'zbar'" in detail
    assert "tallygate[zbar]" in detail


def test_zbar_child_that_dies_again_and_again_is_given_a_pause() -> None:
    notes = Notes()
    process = ZbarProcess(notes)
    try:
        for death in range(1, MAX_DEATHS + 1):
            now = 100.0 + death
            process.poll(now)  # starts it
            assert process.pid
            os.kill(process.pid, signal.SIGKILL)
            while len(notes) < death:
                process.poll(now)
        assert "too many in a row" in notes[-1][1]
        process.poll(now + PAUSE_S - 1)
        assert process.pid is None
        process.poll(now + PAUSE_S + 1)
        assert process.pid
    finally:
        process.close()
