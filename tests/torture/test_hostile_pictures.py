"""10,000 random segment codes and damaged frames against every decoder and the running camera child.

TALLYGATE_TORTURE scales the counts (default 1.0).
"""

from __future__ import annotations

import asyncio
import os
import random
import time

import numpy as np
import pytest

from hal.camera.port import CameraSettings
from hal.decoder.zxing import Zxing
from hal.ports import CodeSeen, DeviceLost, DeviceNote, Event, Progress
from hal.sim.scene import render, wall, write_scene
from hal.vision.protocol import Settings
from hal.vision.second import ZbarProcess
from hal.vision.supervisor import CameraSource
from tests.support import qrimages

pytestmark = pytest.mark.torture
SCALE = float(os.environ.get("TALLYGATE_TORTURE", "1"))
PASS = "TG1:" + "A1" * 93


@pytest.mark.parametrize("part", range(10))
def test_random_segment_codes_stop_no_decoder(part: int) -> None:
    notes: list[str] = []
    decoders = (Zxing(), Zxing(second_binarizer=True))
    read = answered = shown = 0
    zbar = None
    try:
        for gray in qrimages.random_codes(int(1000 * SCALE), seed=100 + part):
            if shown % 50 == 0:  # a fresh one, so that its pause after ten deaths does not come
                if zbar:
                    zbar.close()
                zbar = ZbarProcess(lambda name, detail: notes.append(detail), limit_s=1.5)
            shown += 1
            codes = [code for decoder in decoders for code in decoder.read(gray)]
            second = zbar.read(gray, "raw") if zbar else None
            answered += second is not None
            read += bool(codes)
            assert not any(code.data.startswith(b"TG1:") for code in (*codes, *(second or [])))
    finally:
        if zbar:
            zbar.close()
    assert read
    assert answered + len(notes) == shown
    assert all("SIG" in note or "time limit" in note for note in notes), notes
    print(f"\n{shown} codes: zxing read {read}, zbar answered {answered}, died {len(notes)}")


def test_damaged_frames_stop_no_decoder() -> None:
    rng = random.Random(9)
    frames = [gray for gray in qrimages.hostile().values() if gray.size > 1000]
    decoders = (Zxing(), Zxing(second_binarizer=True))
    for _ in range(int(5000 * SCALE)):
        gray = rng.choice(frames)
        height, width = gray.shape
        top, left = rng.randrange(height), rng.randrange(width)
        cut = gray[top : top + rng.randint(1, height), left : left + rng.randint(1, width)].copy()
        spots = np.frombuffer(rng.randbytes(8 * rng.randint(1, 200)), np.uint32) % cut.size
        cut.flat[spots] = 255 - cut.flat[spots]
        for decoder in decoders:
            decoder.read(cut[:: rng.choice((1, 2, -1)), :: rng.choice((1, 1, 3))])


def test_running_child_and_loop_outlast_a_parade_of_hostile_scenes(tmp_path) -> None:
    """New scenes as fast as the camera looks; the loop's own beat never stops for half a second."""
    scene = tmp_path / "scene.pgm"
    write_scene(scene, wall())
    settings = Settings(progress_s=0.05, zbar=True, zbar_limit_s=0.5)
    source = CameraSource(CameraSettings("simulated", scene=str(scene), fps=100), settings)
    events: list[Event] = []
    gaps: list[float] = []
    pictures = [*qrimages.hostile().values(), *qrimages.random_codes(int(1500 * SCALE), seed=77)]

    killer = qrimages.without_quiet_zone(qrimages.code(qrimages.eci(0) + qrimages.byte_segment(b"killer")))

    async def beat() -> None:
        last = time.monotonic()
        while True:
            await asyncio.sleep(0.01)
            now = time.monotonic()
            gaps.append(now - last)
            last = now

    async def parade() -> None:
        source.start(events.append)
        beating = asyncio.create_task(beat())
        for number, gray in enumerate(pictures):
            await asyncio.get_running_loop().run_in_executor(None, write_scene, scene, gray)
            await asyncio.sleep(0.02)
            if number % 300 == 100:
                write_scene(scene, killer)
                await asyncio.sleep(1.5)  # long enough that zbar is asked, dies and is replaced
        write_scene(scene, render(PASS))
        deadline = time.monotonic() + 20
        while not any(isinstance(e, CodeSeen) and e.data == PASS.encode() for e in events):
            assert time.monotonic() < deadline, "the good pass was not read after the parade"
            await asyncio.sleep(0.02)
        beating.cancel()
        source.close()

    asyncio.run(parade())
    assert not [event for event in events if isinstance(event, DeviceLost)]
    assert any("SIGABRT" in event.detail for event in events if isinstance(event, DeviceNote))
    assert max(gaps) < 0.5
    frames = [event.count for event in events if isinstance(event, Progress)]
    assert frames[-1] > len(pictures)
    print(
        f"\n{len(pictures)} scenes, {frames[-1]} frames, "
        f"{sum(isinstance(e, DeviceNote) for e in events)} notes, longest loop gap {max(gaps) * 1000:.0f} ms"
    )
