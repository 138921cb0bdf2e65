"""A stand-in for the kernel's side of a V4L2 capture device, behind ``hal.camera.v4l2.Device``.

It fills buffers at its own rate, keeps the kernel's rules (only queued buffers are filled, a full queue
loses frames, ioctls fail with the kernel's error numbers) and can be told to misbehave.
"""

from __future__ import annotations

import ctypes
import errno
import io
import os
import time

import numpy as np
from PIL import Image

from hal.camera import v4l2_abi as abi

CAPABILITIES = abi.CAP_VIDEO_CAPTURE | abi.CAP_STREAMING


def encode(name: str, picture: np.ndarray, padding: int = 0) -> tuple[bytes, int]:
    """(bytes of a frame, bytes of one row) of a gray picture in a pixel format; padding is junk."""
    height, width = picture.shape
    if name in ("MJPG", "JPEG"):
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "JPEG", quality=95)
        return file.getvalue(), 0
    if name in ("YUYV", "YVYU", "UYVY", "VYUY"):
        rows = np.full((height, width * 2 + padding), 0x5A, np.uint8)
        rows[:, (1 if name in ("UYVY", "VYUY") else 0) : width * 2 : 2] = picture
        return rows.tobytes(), width * 2 + padding
    rows = np.full((height, width + padding), 0x5A, np.uint8)
    rows[:, :width] = picture
    chroma = b"" if name in ("GREY", "Y800") else b"\x5a" * (rows.size // 2)
    return rows.tobytes() + chroma, width + padding


class FakeVideo:
    """``Device``; ``faults`` maps a request number (or "open", "wait", "map") to an errno it fails with."""

    def __init__(
        self,
        formats: tuple[str, ...] = ("YUYV",),
        *,
        fps: float = 120.0,
        capabilities: int = CAPABILITIES,
        only_size: tuple[int, int] | None = None,
        padding: int = 0,
        buffers: int = 8,
    ) -> None:
        self.formats = formats
        self.fps = fps
        self.capabilities = capabilities
        self.only_size = only_size
        self.padding = padding
        self.buffers = buffers
        self.faults: dict[int | str, int] = {}
        self.picture: np.ndarray | None = None
        self.truncate: int | None = None
        self.flags = 0
        self.stalled = False
        self.error_signal = False
        self.streaming = False
        self.opened = 0
        self.closed = 0
        self.filled_total = 0
        self._memory: list[bytearray] = []
        self._queued: list[int] = []
        self._filled: list[abi.Buffer] = []
        self._due = 0.0

    @property
    def held_by_driver(self) -> int:
        """Buffers that are neither queued nor filled: those the program keeps."""
        return len(self._memory) - len(self._queued) - len(self._filled)

    def open(self, path: str) -> None:
        self._fail("open")
        self.opened += 1

    def map(self, length: int, offset: int) -> _Memory:
        self._fail("map")
        memory = self._memory[offset // 4096]
        assert length == len(memory)
        return _Memory(memory)

    def close(self) -> None:
        self.closed += 1
        self.streaming = False

    def wait(self, seconds: float) -> bool:
        self._fail("wait")
        if self.error_signal:
            return True
        end = time.monotonic() + max(0.0, seconds)
        while True:
            self._fill()
            if self._filled:
                return True
            now = time.monotonic()
            if now >= end:
                return False
            time.sleep(max(0.0, min(end, self._due if not self.stalled else end) - now))

    def ioctl(self, request: int, argument: ctypes.Structure | ctypes.c_int) -> None:
        self._fail(request)
        handlers = {
            abi.QUERYCAP: self._querycap,
            abi.ENUM_FMT: self._enum,
            abi.S_FMT: self._set_format,
            abi.S_PARM: lambda _: None,
            abi.REQBUFS: self._request,
            abi.QUERYBUF: self._query,
            abi.QBUF: self._queue,
            abi.DQBUF: self._dequeue,
            abi.STREAMON: self._on,
            abi.STREAMOFF: self._off,
        }
        handlers[request](argument)

    def _fail(self, what: int | str) -> None:
        if what in self.faults:
            number = self.faults[what]
            raise OSError(number, os.strerror(number))

    def _querycap(self, found: abi.Capability) -> None:
        found.card = b"Fake camera"
        found.capabilities = self.capabilities | abi.CAP_DEVICE_CAPS
        found.device_caps = self.capabilities

    def _enum(self, found: abi.FormatDescription) -> None:
        if found.index >= len(self.formats):
            raise OSError(errno.EINVAL, "end of list")
        found.pixelformat = abi.fourcc(self.formats[found.index])

    def _set_format(self, wanted: abi.Format) -> None:
        pix = wanted.fmt.pix
        if self.only_size:
            pix.width, pix.height = self.only_size
        self.name = abi.fourcc_name(pix.pixelformat)
        self.size = (pix.width, pix.height)
        blank = np.zeros((pix.height, pix.width), np.uint8)
        data, pix.bytesperline = encode(self.name, blank, self.padding)
        pix.sizeimage = max(len(data), pix.width * pix.height * 2)

    def _request(self, wanted: abi.RequestBuffers) -> None:
        wanted.count = min(wanted.count, self.buffers)
        size = self.size[0] * (self.size[1] + 1) * 2 + self.padding * self.size[1] * 2
        self._memory = [bytearray(size) for _ in range(wanted.count)]
        self._queued, self._filled = [], []

    def _query(self, buffer: abi.Buffer) -> None:
        buffer.length, buffer.m.offset = len(self._memory[buffer.index]), buffer.index * 4096

    def _queue(self, buffer: abi.Buffer) -> None:
        if not 0 <= buffer.index < len(self._memory) or buffer.index in self._queued:
            raise OSError(errno.EINVAL, "bad buffer")
        self._queued.append(buffer.index)

    def _dequeue(self, buffer: abi.Buffer) -> None:
        if not self._filled:
            raise OSError(errno.EAGAIN, "nothing yet")
        ctypes.pointer(buffer)[0] = self._filled.pop(0)

    def _on(self, _: object) -> None:
        self.streaming = True
        self._due = time.monotonic() + 1 / self.fps

    def _off(self, _: object) -> None:
        self.streaming = False

    def _fill(self) -> None:
        """Every frame that is due goes into the next queued buffer; without one it is lost."""
        now = time.monotonic()
        while self.streaming and not self.stalled and self._due <= now:
            missed = int((now - self._due) * self.fps) - len(self._queued)
            self._due += max(0, missed) / self.fps + 1 / self.fps
            self.filled_total += 1
            if not self._queued:
                continue
            index = self._queued.pop(0)
            picture = self.picture
            if picture is None:
                picture = np.full(self.size[::-1], self.filled_total % 256, np.uint8)
            data, _ = encode(self.name, picture, self.padding)
            data = data[: self.truncate]
            self._memory[index][: len(data)] = data
            self._filled.append(
                abi.Buffer(index=index, type=abi.CAPTURE, bytesused=len(data), flags=self.flags)
            )


class _Memory:
    def __init__(self, memory: bytearray) -> None:
        self._memory = memory

    def __len__(self) -> int:
        return len(self._memory)

    def __getitem__(self, key: slice) -> bytes:
        return bytes(self._memory[key])

    def close(self) -> None:
        self._memory = bytearray()
