"""The single decoders that the decoding plan is measured beside, each with its best plain settings.

A peer that is not on this machine is absent, and the table says so. pyzbar needs the system's libzbar: where
that is missing, Debian's packages are unpacked under ``build/`` (nothing is installed).
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from benchmarks.gatepaint import Picture
from hal.decoder.zxing import Zxing

Read = Callable[[Picture], list[bytes]]
LIBS = Path(__file__).resolve().parents[1] / "build" / "libzbar"
PACKAGES = ("libzbar0", "libv4l-0", "libv4lconvert0", "libjpeg62-turbo", "libdbus-1-3", "libx11-6")


def zxing(*, global_histogram: bool) -> Read:
    decoder = Zxing(second_binarizer=global_histogram)
    return lambda gray: [code.data for code in decoder.read(gray)]


def zbar_py() -> Read:
    """In this process: the gate set holds nothing that it dies of."""
    from hal.decoder.zbar import Zbar

    decoder = Zbar()
    return lambda gray: [code.data for code in decoder.read(gray)]


def pyzbar() -> Read:
    try:
        from pyzbar import pyzbar as module
    except ImportError:
        _fetch_libzbar()
        from pyzbar import pyzbar as module
    kinds = [module.ZBarSymbol.QRCODE]
    return lambda gray: [symbol.data for symbol in module.decode(gray, symbols=kinds)]


def opencv() -> Read:
    import cv2

    cv2.setNumThreads(1)
    detector = cv2.QRCodeDetector()

    def read(gray: Picture) -> list[bytes]:
        try:
            text = detector.detectAndDecode(gray)[0]
        except (cv2.error, UnicodeDecodeError):  # both seen for legal codes
            return []
        return [text.encode()] if text else []

    return read


MAKERS: dict[str, Callable[[], Read]] = {
    "zxing": lambda: zxing(global_histogram=False),
    "zxing global": lambda: zxing(global_histogram=True),
    "zbar-py": zbar_py,
    "pyzbar": pyzbar,
    "OpenCV": opencv,
}


def here() -> tuple[dict[str, Read], list[str]]:
    """The peers that work here, and in words the ones that do not."""
    found: dict[str, Read] = {}
    missing: list[str] = []
    for name, make in MAKERS.items():
        try:
            found[name] = make()
        except (ImportError, OSError, subprocess.SubprocessError) as error:
            missing.append(f"{name} is not here: {error}")
    return found, missing


def _fetch_libzbar() -> None:
    """Unpack libzbar and what it needs, and load all of it so that pyzbar's own search succeeds."""
    if not list(LIBS.glob("**/libzbar.so.0")):
        if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
            raise ImportError("libzbar is not here, nor apt-get to fetch it (Debian: libzbar0)")
        debs = LIBS / "debs"
        debs.mkdir(parents=True, exist_ok=True)
        for name in PACKAGES:
            fetch = ["apt-get", "-o", "APT::Sandbox::User=", "download", name]
            subprocess.run(fetch, cwd=debs, check=True, timeout=120, capture_output=True)
        for deb in debs.glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", str(deb), str(LIBS)], check=True, timeout=60)
    waiting = [
        path for path in LIBS.glob("**/*.so.*") if "libzbar.so" not in path.name and not path.is_symlink()
    ]
    for _ in range(len(waiting)):  # a library loads once those that it needs are loaded
        for path in list(waiting):
            try:
                ctypes.CDLL(os.fspath(path), mode=ctypes.RTLD_GLOBAL)
            except OSError:
                continue
            waiting.remove(path)
    library = ctypes.CDLL(os.fspath(next(LIBS.glob("**/libzbar.so.0"))))
    from pyzbar import zbar_library

    zbar_library.load = lambda: (library, [])
