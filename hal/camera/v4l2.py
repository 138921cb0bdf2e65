"""A USB camera (or any other single-plane V4L2 device): memory-mapped streaming by the kernel's own calls.

No OpenCV on a board: what is needed is one gray plane of the newest frame. All waiting is bounded; a
device that is gone raises CameraLost, one that gives nothing gives None, and the supervisor decides.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from hal.camera import v4l2_abi as abi
from hal.camera.planes import COMPRESSED, PREFERRED, PlaneError, can_decode_jpeg, gray
from hal.camera.port import Camera, CameraLost, CameraSettings, Frame, Note

BUFFERS = 4
MAX_FORMATS = 64
CABLE = "the camera's cable and supply, and `dmesg | tail`"
_REASONS = {
    errno.ENOENT: ("there is no such device", "is the camera plugged in (ls /dev/video*), camera.device"),
    errno.ENODEV: ("the camera is gone", CABLE),
    errno.ENXIO: ("the camera is gone", CABLE),
    errno.EIO: ("the camera reports an input/output error", CABLE),
    errno.EPROTO: ("the camera breaks the USB protocol", CABLE),
    errno.ENOSPC: ("the USB bus has no bandwidth left", "another USB port, a smaller size or fewer fps"),
    errno.EBUSY: ("another program uses the camera", "which one: fuser -v on the device"),
    errno.EACCES: (
        "this user may not use it",
        "add the user to the group 'video' (sudo usermod -aG video USER) and log in again",
    ),
}
_REASONS[errno.EPERM] = _REASONS[errno.EACCES]


class Mapping(Protocol):
    """A buffer shared with the device."""

    def __len__(self) -> int: ...
    def __getitem__(self, key: slice, /) -> bytes: ...
    def close(self) -> None: ...


class Device(Protocol):
    """The calls that reach the kernel, so that a test can stand in for it. Raises OSError as the kernel."""

    def open(self, path: str) -> None: ...
    def ioctl(self, request: int, argument: ctypes.Structure | ctypes.c_int) -> None: ...
    def map(self, length: int, offset: int) -> Mapping: ...
    def wait(self, seconds: float) -> bool:
        """A frame is ready, or the device has an error to tell."""

    def close(self) -> None: ...


class KernelDevice:
    """``Device`` on a real node."""

    def __init__(self) -> None:
        self._fd = -1

    def open(self, path: str) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    def ioctl(self, request: int, argument: ctypes.Structure | ctypes.c_int) -> None:
        while True:
            try:
                fcntl.ioctl(self._fd, request, argument, True)
                return
            except InterruptedError:
                continue

    def map(self, length: int, offset: int) -> Mapping:
        return mmap.mmap(self._fd, length, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE, offset=offset)

    def wait(self, seconds: float) -> bool:
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        return bool(poll.poll(max(0.0, seconds) * 1000))

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class V4l2:
    """``Camera`` on ``settings.device``. ``device`` replaces the kernel in tests."""

    def __init__(self, settings: CameraSettings, note: Note, device: Device | None = None) -> None:
        if not 0 < settings.fps <= 240:
            raise CameraLost(f"fps = {settings.fps} is outside 0..240", "camera.fps in the board file")
        self._settings = settings
        self._path = settings.device or "/dev/video0"
        self._note = note
        self._device: Device = device if device is not None else KernelDevice()
        self._maps: list[Mapping] = []
        self._name = ""
        self._size = (0, 0)
        self._stride = 0
        self._seq = 0
        self._bad = 0
        self._told: set[str] = set()

    # -- opening -----------------------------------------------------------------------------------

    def open(self) -> None:
        try:
            with self._said("opening"):
                self._device.open(self._path)
            self._check_kind()
            self._agree_format(self._offered())
            self._agree_rate()
            self._map_buffers()
            with self._said("starting the stream"):
                self._device.ioctl(abi.STREAMON, ctypes.c_int(abi.CAPTURE))
        except CameraLost:
            self.close()
            raise

    @contextmanager
    def _said(self, doing: str) -> Iterator[None]:
        """An OSError of the kernel as CameraLost, in words for a technician."""
        try:
            yield
        except OSError as error:
            reason, check = _REASONS.get(error.errno or 0, (str(error.strerror), "dmesg | tail"))
            raise CameraLost(f"{self._path}: {reason} ({doing})", check) from error

    def _check_kind(self) -> None:
        found = abi.Capability()
        try:
            self._device.ioctl(abi.QUERYCAP, found)
        except OSError as error:
            if error.errno in (errno.ENOTTY, errno.EINVAL):
                raise CameraLost(
                    f"{self._path} is no video device", "camera.device in the board file"
                ) from error
            with self._said("asking what it is"):
                raise
        own = found.capabilities & abi.CAP_DEVICE_CAPS
        capabilities = found.device_caps if own else found.capabilities
        card = found.card.decode("utf-8", "replace")
        if capabilities & abi.CAP_VIDEO_CAPTURE_MPLANE:
            raise CameraLost(
                f"{self._path} ({card}) is a multi-plane device", "for a camera module use driver = 'pi'"
            )
        if not capabilities & abi.CAP_VIDEO_CAPTURE:
            raise CameraLost(
                f"{self._path} ({card}) gives no pictures",
                "one camera has several nodes: try the next /dev/videoN (v4l2-ctl --list-devices)",
            )
        if not capabilities & abi.CAP_STREAMING:
            raise CameraLost(f"{self._path} ({card}) cannot stream", "another camera")

    def _offered(self) -> list[str]:
        names = []
        for index in range(MAX_FORMATS):
            description = abi.FormatDescription(index=index, type=abi.CAPTURE)
            try:
                self._device.ioctl(abi.ENUM_FMT, description)
            except OSError as error:
                if error.errno == errno.EINVAL:
                    break  # the end of the list
                with self._said("asking for its formats"):
                    raise
            names.append(abi.fourcc_name(description.pixelformat))
        return names

    def _agree_format(self, offered: list[str]) -> None:
        usable = [name for name in PREFERRED if name in offered]
        if usable and usable[0] in COMPRESSED and not can_decode_jpeg():
            raise CameraLost(
                f"{self._path} gives only JPEG and Pillow is not installed",
                "pip install 'tallygate[display]'",
            )
        if not usable:
            raise CameraLost(
                f"{self._path} offers only {', '.join(offered) or 'no format at all'}",
                f"a camera that gives one of {', '.join(PREFERRED)}",
            )
        wanted = abi.Format(type=abi.CAPTURE)
        pix = wanted.fmt.pix
        pix.width, pix.height = self._settings.width, self._settings.height
        pix.pixelformat, pix.field = abi.fourcc(usable[0]), abi.FIELD_ANY
        with self._said("setting the format"):
            self._device.ioctl(abi.S_FMT, wanted)
        got = wanted.fmt.pix
        name = abi.fourcc_name(got.pixelformat)
        if name not in PREFERRED or not (0 < got.width <= 8192 and 0 < got.height <= 8192):
            raise CameraLost(
                f"{self._path} answers with {name} of {got.width} x {got.height}", "another camera or size"
            )
        self._name, self._size = name, (int(got.width), int(got.height))
        self._stride = int(got.bytesperline) or int(got.width) * (
            2 if name in ("YUYV", "YVYU", "UYVY", "VYUY") else 1
        )
        if self._size != (self._settings.width, self._settings.height):
            asked = f"{self._settings.width} x {self._settings.height}"
            self._once("camera_size", f"{self._path} gives {got.width} x {got.height} instead of {asked}")

    def _agree_rate(self) -> None:
        wanted = abi.StreamParameters(type=abi.CAPTURE)
        rate = wanted.parm.capture.timeperframe
        rate.numerator, rate.denominator = 1000, max(1, round(self._settings.fps * 1000))
        try:
            self._device.ioctl(abi.S_PARM, wanted)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTTY):  # it has one rate: take it as it is
                with self._said("setting the rate"):
                    raise

    def _map_buffers(self) -> None:
        request = abi.RequestBuffers(count=BUFFERS, type=abi.CAPTURE, memory=abi.MMAP)
        with self._said("asking for buffers"):
            self._device.ioctl(abi.REQBUFS, request)
        if request.count < 2:
            raise CameraLost(f"{self._path} gives {request.count} buffers; two are needed", "free memory")
        for index in range(request.count):
            buffer = self._buffer(index)
            with self._said("mapping its buffers"):
                self._device.ioctl(abi.QUERYBUF, buffer)
                self._maps.append(self._device.map(buffer.length, buffer.m.offset))
                self._device.ioctl(abi.QBUF, self._buffer(index))

    @staticmethod
    def _buffer(index: int = 0) -> abi.Buffer:
        return abi.Buffer(index=index, type=abi.CAPTURE, memory=abi.MMAP)

    # -- frames ------------------------------------------------------------------------------------

    def frame(self, wait_s: float) -> Frame | None:
        deadline = time.monotonic() + wait_s
        while True:
            with self._said("waiting for a frame"):
                ready = self._device.wait(deadline - time.monotonic())
            if not ready:
                return None
            newest = self._newest()
            if newest is None:
                return None
            frame = self._take(newest)
            if frame is not None or time.monotonic() >= deadline:
                return frame

    def _newest(self) -> abi.Buffer | None:
        """The last filled buffer; the ones before it go back unseen."""
        newest: abi.Buffer | None = None
        for _ in range(len(self._maps)):
            buffer = self._buffer()
            try:
                self._device.ioctl(abi.DQBUF, buffer)
            except OSError as error:
                if error.errno == errno.EAGAIN:
                    break
                with self._said("taking a frame"):
                    raise
            if newest is not None:
                self._give_back(newest)
            newest = buffer
        if newest is None:
            # Ready, and yet nothing there: the device signals an error, and would do so without end.
            raise CameraLost(f"{self._path}: the stream has failed", CABLE)
        return newest

    def _take(self, buffer: abi.Buffer) -> Frame | None:
        now = time.monotonic()
        try:
            if not 0 <= buffer.index < len(self._maps):
                raise CameraLost(f"{self._path}: it names a buffer {buffer.index} that is not", CABLE)
            if buffer.flags & abi.BUF_FLAG_ERROR:
                raise PlaneError("the device marks it as damaged")
            held = self._maps[buffer.index]
            used = min(int(buffer.bytesused) or len(held), len(held))
            picture = gray(self._name, held[:used], *self._size, self._stride)
        except PlaneError as error:
            self._bad += 1
            self._once("camera_bad_frames", f"{self._path}: frames are dropped: {error}; check: {CABLE}")
            return None
        finally:
            self._give_back(buffer)
        self._seq += 1
        return Frame(picture, now, self._seq)

    def _give_back(self, buffer: abi.Buffer) -> None:
        with self._said("giving a buffer back"):
            self._device.ioctl(abi.QBUF, self._buffer(buffer.index))

    def _once(self, name: str, detail: str) -> None:
        if name not in self._told:
            self._told.add(name)
            self._note(name, detail)

    # -- closing -----------------------------------------------------------------------------------

    def close(self) -> None:
        try:
            self._device.ioctl(abi.STREAMOFF, ctypes.c_int(abi.CAPTURE))
        except (OSError, ValueError):
            pass  # not open, not streaming, or gone
        maps, self._maps = self._maps, []
        for held in maps:
            try:
                held.close()
            except (OSError, BufferError):
                pass
        try:
            self._device.close()
        except OSError:
            pass


def build(settings: CameraSettings, note: Note) -> Camera:
    """Raises CameraLost for settings that make no sense."""
    return V4l2(settings, note)
