"""The V4L2 driver against a stand-in for the kernel: formats, faults and what a technician is told."""

from __future__ import annotations

import ctypes
import errno
import os

import numpy as np
import pytest

from hal.camera import planes, v4l2
from hal.camera import v4l2_abi as abi
from hal.camera.planes import PREFERRED, PlaneError, gray, luma
from hal.camera.port import CameraLost, CameraSettings, Frame, build
from hal.camera.v4l2 import KernelDevice, V4l2
from hal.decoder.zxing import Zxing
from hal.sim.scene import render
from tests.support.fakevideo import FakeVideo, encode

PASS = "TG1:" + "A1" * 93


def camera(device: FakeVideo, notes: list | None = None, **settings: object) -> V4l2:
    told = notes if notes is not None else []
    wanted = CameraSettings("v4l2", **{"width": 320, "height": 240, "fps": 120, **settings})
    return V4l2(wanted, lambda name, detail: told.append((name, detail)), device)


def look(opened: V4l2) -> Frame:
    for _ in range(100):
        frame = opened.frame(1.0)
        if frame is not None:
            return frame
    pytest.fail("no frame")


def look_on(opened: V4l2) -> None:
    for _ in range(100):
        opened.frame(1.0)


def test_structs_and_numbers_are_the_kernel_s():
    """For 64 bits compared once with ``linux/videodev2.h`` by a C compiler; for 32 they were added up."""
    word = ctypes.sizeof(ctypes.c_void_p)
    whole, buffer = {8: (208, 88), 4: (204, 68)}[word]
    structs = [abi.Capability, abi.FormatDescription, abi.Format]
    structs += [abi.StreamParameters, abi.RequestBuffers, abi.Buffer]
    assert [ctypes.sizeof(struct) for struct in structs] == [104, 64, whole, 204, 20, buffer]
    assert abi.Format.fmt.offset == word
    offsets = [getattr(abi.Buffer, name).offset for name in ("timestamp", "sequence", "m", "length")]
    assert offsets == {8: [24, 56, 64, 72], 4: [20, 44, 52, 56]}[word]
    assert abi.Buffer.request_fd.offset == {8: 80, 4: 64}[word]
    numbers = [abi.QUERYCAP, abi.ENUM_FMT, abi.S_FMT, abi.REQBUFS]
    assert numbers == [0x80685600, 0xC0405602, 0xC0005605 | whole << 16, 0xC0145608]
    numbers = [abi.QUERYBUF, abi.QBUF, abi.DQBUF]
    assert numbers == [base | buffer << 16 for base in (0xC0005609, 0xC000560F, 0xC0005611)]
    assert [abi.STREAMON, abi.STREAMOFF, abi.S_PARM] == [0x40045612, 0x40045613, 0xC0CC5616]


class TestFormats:
    @pytest.mark.parametrize("padding", [0, 32])
    @pytest.mark.parametrize("name", [n for n in PREFERRED if n != "JPEG"])
    def test_every_format_gives_the_same_picture(self, name, padding):
        device = FakeVideo((name,), padding=padding)
        device.picture = render(PASS, (320, 240), height_share=0.7)
        opened = camera(device)
        opened.open()
        frame = look(opened)
        assert frame.gray.shape == (240, 320)
        assert frame.gray.flags.c_contiguous
        assert frame.gray.flags.owndata
        if name == "MJPG":
            assert [code.data for code in Zxing().read(frame.gray)] == [PASS.encode()]
        else:
            assert np.array_equal(frame.gray, device.picture)
        opened.close()

    def test_cheapest_format_is_taken(self):
        device = FakeVideo(("MJPG", "H264", "YUYV", "NV12"))
        opened = camera(device)
        opened.open()
        assert device.name == "NV12"

    def test_other_size_is_taken_and_noted_once(self):
        notes: list = []
        opened = camera(FakeVideo(only_size=(640, 360)), notes)
        opened.open()
        assert look(opened).gray.shape == (360, 640)
        assert [name for name, _ in notes] == ["camera_size"]
        assert "640 x 360 instead of 320 x 240" in notes[0][1]

    @pytest.mark.parametrize(
        ("width", "height", "stride", "step", "size"),
        [(4, 2, 3, 1, 8), (4, 2, 4, 1, 7), (4, 2, 8, 2, 15 - 1)],
    )
    def test_too_few_bytes_are_no_picture(self, width, height, stride, step, size):
        with pytest.raises(PlaneError):
            luma(bytes(size - (step == 2)), width, height, stride, step)

    def test_broken_jpegs_are_no_picture(self):
        whole, _ = encode("MJPG", np.full((24, 32), 90, np.uint8))
        for data in [b"", b"\xff\xd8\xff", whole[: len(whole) // 2], os.urandom(500)]:
            with pytest.raises(PlaneError):
                gray("MJPG", data, 32, 24, 0)
        with pytest.raises(PlaneError, match="was agreed"):
            gray("MJPG", whole, 24, 32, 0)


class TestStreaming:
    def test_newest_frame_only_and_no_buffer_is_kept(self):
        device = FakeVideo(fps=1000)
        opened = camera(device)
        opened.open()
        for _ in range(5):
            while len(device._filled) < 3:
                device._fill()
            newest = device._filled[-1].index
            device.stalled = True
            shown = device._memory[newest][0]
            assert look(opened).gray[0, 0] == shown
            assert device.held_by_driver == 0
            assert len(device._queued) == 4
            device.stalled = False

    def test_damaged_and_short_frames_are_dropped_and_noted_once(self):
        notes: list = []
        device = FakeVideo()
        opened = camera(device, notes)
        opened.open()
        device.flags = abi.BUF_FLAG_ERROR
        assert opened.frame(0.03) is None
        device.flags, device.truncate = 0, 1000
        opened.frame(0.03)
        assert opened.frame(0.03) is None
        device.truncate = None
        for _ in range(4):
            last = look(opened)
        assert last.gray.shape == (240, 320)
        assert [name for name, _ in notes] == ["camera_bad_frames"]
        assert device.held_by_driver == 0

    def test_camera_that_gives_nothing_gives_none(self):
        device = FakeVideo()
        opened = camera(device)
        opened.open()
        device.stalled = True
        while opened.frame(0.0):
            pass
        assert opened.frame(0.01) is None

    @pytest.mark.parametrize("where", [abi.DQBUF, abi.QBUF, "wait"])
    @pytest.mark.parametrize("number", [errno.ENODEV, errno.EIO, errno.EPROTO])
    def test_unplugged_while_streaming(self, where, number):
        device = FakeVideo()
        opened = camera(device)
        opened.open()
        look(opened)
        device.faults[where] = number
        with pytest.raises(CameraLost, match="/dev/video0") as lost:
            look_on(opened)
        assert "cable" in lost.value.check
        device.faults[abi.STREAMOFF] = number
        opened.close()
        assert device.closed == 1

    def test_error_signal_without_a_frame_is_not_a_busy_loop(self):
        device = FakeVideo()
        opened = camera(device)
        opened.open()
        device.stalled = device.error_signal = True
        with pytest.raises(CameraLost, match="stream has failed"):
            look_on(opened)


class TestOpening:
    @pytest.mark.parametrize(
        ("where", "number", "word", "check"),
        [
            ("open", errno.ENOENT, "no such device", "plugged in"),
            ("open", errno.EACCES, "may not", "usermod -aG video"),
            ("open", errno.EPERM, "may not", "group 'video'"),
            (abi.QUERYCAP, errno.ENOTTY, "no video device", "camera.device"),
            (abi.S_FMT, errno.EBUSY, "another program", "fuser"),
            (abi.REQBUFS, errno.EBUSY, "another program", "fuser"),
            (abi.ENUM_FMT, errno.ENODEV, "gone", "cable"),
            (abi.QUERYBUF, errno.ENOMEM, "Cannot allocate memory", "dmesg"),
            ("map", errno.ENOMEM, "Cannot allocate memory", "dmesg"),
            (abi.STREAMON, errno.ENOSPC, "bandwidth", "fewer fps"),
            (abi.S_PARM, errno.EIO, "input/output", "cable"),
        ],
    )
    def test_what_fails_is_said_and_everything_is_released(self, where, number, word, check):
        device = FakeVideo()
        device.faults[where] = number
        with pytest.raises(CameraLost, match=word) as lost:
            camera(device).open()
        assert check in lost.value.check
        assert device.closed == 1

    @pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTTY])
    def test_camera_with_one_rate(self, number):
        device = FakeVideo()
        device.faults[abi.S_PARM] = number
        opened = camera(device)
        opened.open()
        assert look(opened)

    @pytest.mark.parametrize(
        ("made", "word"),
        [
            ({"capabilities": abi.CAP_STREAMING}, "no pictures"),
            ({"capabilities": abi.CAP_VIDEO_CAPTURE_MPLANE | abi.CAP_STREAMING}, "driver = 'pi'"),
            ({"capabilities": abi.CAP_VIDEO_CAPTURE}, "cannot stream"),
            ({"formats": ("H264", "pRAA")}, "offers only H264, pRAA"),
            ({"formats": ()}, "no format at all"),
            ({"buffers": 1}, "1 buffers"),
        ],
    )
    def test_devices_that_will_not_do(self, made, word):
        with pytest.raises(CameraLost, match=word):
            camera(FakeVideo(**made)).open()

    def test_jpeg_without_pillow(self, monkeypatch):
        monkeypatch.setattr(v4l2, "can_decode_jpeg", lambda: False)
        with pytest.raises(CameraLost, match="Pillow is not installed"):
            camera(FakeVideo(("MJPG",))).open()
        opened = camera(FakeVideo(("MJPG", "YUYV")))
        opened.open()
        assert look(opened)

    def test_pillow_is_found(self):
        assert planes.can_decode_jpeg()


class TestKernel:
    """The real calls, as far as a machine without a camera has them."""

    def test_missing_node(self):
        with pytest.raises(CameraLost, match="no such device"):
            build(CameraSettings("v4l2", device="/dev/video-none"), lambda *_: None).open()

    def test_node_that_is_no_camera(self):
        with pytest.raises(CameraLost, match="/dev/null is no video device"):
            build(CameraSettings("v4l2", device="/dev/null"), lambda *_: None).open()

    def test_map_wait_and_close(self, tmp_path):
        (tmp_path / "node").write_bytes(b"0123456789")
        device = KernelDevice()
        device.open(str(tmp_path / "node"))
        held = device.map(10, 0)
        assert held[2:5] == b"234"
        held.close()
        assert device.wait(0.0)  # a file is always ready
        device.close()
        device.close()

    def test_close_before_open(self):
        build(CameraSettings("v4l2"), lambda *_: None).close()
