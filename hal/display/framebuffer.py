"""The shopper's screen on a Linux framebuffer: HDMI, DSI or a small SPI panel.

Geometry is read from sysfs whenever the device is opened, so that a panel exchanged for another size fits.
Colours are packed by Pillow alone; numpy is not loaded into the loop's process for this.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hal.display.painter import RETRY_S, DisplayFault, Painter
from hal.ports import Post, Screen

if TYPE_CHECKING:
    from PIL.Image import Image

FBIOBLANK = 0x4611
FB_BLANK_UNBLANK = 0
MAX_SIDE = 8192
CHECK = "is the panel connected and its overlay in config.txt (ls /dev/fb*, /sys/class/graphics)"


@dataclass(frozen=True, slots=True)
class Geometry:
    """Visible size in pixels, bits of one pixel (16 = RGB565, 24 = RGB888, 32 = XRGB8888; little-endian),
    bytes from one row to the next."""

    width: int
    height: int
    bits: int
    stride: int


def read_geometry(device: Path, sys_root: Path = Path("/sys")) -> Geometry:
    """What the kernel says of ``/dev/fbN``. Raises DisplayFault."""
    name = Path(os.path.realpath(device)).name
    folder = sys_root / "class" / "graphics" / name
    try:
        width, height = _numbers(folder / "virtual_size", 2)
        (bits,) = _numbers(folder / "bits_per_pixel", 1)
        (stride,) = _numbers(folder / "stride", 1)
    except OSError as error:
        raise DisplayFault(
            f"{device} is no framebuffer: {error.strerror}: {error.filename}", CHECK
        ) from error
    try:
        # The virtual size holds two pages where a driver flips between them; the mode is what is seen.
        mode = re.match(r"\w:(\d+)x(\d+)", (folder / "modes").read_text(encoding="ascii", errors="replace"))
    except OSError:
        mode = None
    if mode is not None:
        width, height = min(width, int(mode[1])), min(height, int(mode[2]))
    if bits not in (16, 24, 32):
        raise DisplayFault(
            f"{device} has {bits} bits a pixel; 16, 24 and 32 can be drawn", "framebuffer_depth in config.txt"
        )
    if not (16 <= width <= MAX_SIDE and 16 <= height <= MAX_SIDE) or stride < width * bits // 8:
        raise DisplayFault(
            f"{device} says {width} x {height} pixels in rows of {stride} bytes, which cannot be", CHECK
        )
    return Geometry(width, height, bits, stride)


def _numbers(path: Path, count: int) -> list[int]:
    found = [int(number) for number in re.findall(r"\d+", path.read_text(encoding="ascii", errors="replace"))]
    if len(found) < count:
        raise OSError(errno.EINVAL, "no number in it", str(path))
    return found[:count]


def pack(picture: Image, geometry: Geometry) -> bytes:
    """An RGB picture of the geometry's size as the framebuffer's bytes: ``height * stride`` of them."""
    if geometry.bits == 16:
        data = _rgb565(picture)
    else:
        data = picture.tobytes("raw", "BGRX" if geometry.bits == 32 else "BGR")
    row = geometry.width * geometry.bits // 8
    if geometry.stride == row:
        return data
    gap = bytes(geometry.stride - row)
    return b"".join(data[start : start + row] + gap for start in range(0, len(data), row))


def _rgb565(picture: Image) -> bytes:
    """rrrrrggg gggbbbbb, low byte first: each byte is a sum of bits that two channels share out."""
    from PIL import Image as Images
    from PIL import ImageChops

    red, green, blue = picture.split()
    high = ImageChops.add(
        red.point([v & 0xF8 for v in range(256)]), green.point([v >> 5 for v in range(256)])
    )
    low = ImageChops.add(
        green.point([(v >> 2 & 7) << 5 for v in range(256)]), blue.point([v >> 3 for v in range(256)])
    )
    return Images.merge("LA", (low, high)).tobytes()


class FramebufferDisplay(Painter):
    """``Display`` on ``path`` (/dev/fbN). ``sys_root`` stands in for /sys in tests."""

    def __init__(
        self,
        path: Path,
        *,
        sys_root: Path = Path("/sys"),
        post: Post | None = None,
        loop: asyncio.AbstractEventLoop | None = None,
        retry_s: float = RETRY_S,
    ) -> None:
        self._path = path
        self._sys = sys_root
        self._fd = -1
        self._geometry: Geometry | None = None
        super().__init__(self._write, self._close_device, post=post, loop=loop, retry_s=retry_s)

    def _open(self) -> Geometry:
        geometry = read_geometry(self._path, self._sys)
        try:
            self._fd = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC)
        except OSError as error:
            check = CHECK
            if error.errno in (errno.EACCES, errno.EPERM):
                check = "the service's user must be in the group 'video' (usermod -aG video USER)"
            raise DisplayFault(f"{self._path} cannot be opened: {error.strerror}", check) from error
        try:
            fcntl.ioctl(self._fd, FBIOBLANK, FB_BLANK_UNBLANK)
        except OSError:
            pass  # many drivers cannot blank, so they are not blanked
        self._geometry = geometry
        return geometry

    def _write(self, screen: Screen) -> None:
        from hal.display.draw import draw

        geometry = self._geometry or self._open()
        data = pack(draw(screen, (geometry.width, geometry.height)), geometry)
        try:
            written = os.pwrite(self._fd, data, 0)
        except OSError as error:
            raise DisplayFault(f"writing to {self._path} failed: {error.strerror}", CHECK) from error
        if written != len(data):
            raise DisplayFault(f"{self._path} took {written} of {len(data)} bytes", CHECK)

    def _close_device(self) -> None:
        fd, self._fd, self._geometry = self._fd, -1, None
        if fd >= 0:
            os.close(fd)
