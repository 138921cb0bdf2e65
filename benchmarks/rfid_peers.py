"""One public Python library for each reader protocol that has one which can be fed bytes. Peers only.

They are unpacked under ``build/`` with pip, without what they depend on, and are no part of the product. One
that cannot be had here is absent, and the table says why.
"""

from __future__ import annotations

import importlib
import queue
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

Read = Callable[[list[bytes], bool], list[bytes]]
"""Parts of a stream, and whether the line paused between them → the EPCs that were found, in order."""
FOLDER = Path(__file__).resolve().parents[1] / "build" / "rfid-peers"
ABSENT = {
    "thingmagic": "none: python-mercuryapi wraps the vendor's C library, which opens the port itself",
    "yrm100": "none: magicrf 1.2 is listed, but the package index has no file of it",
}


def pyimpinj() -> Read:
    """pyImpinj 1.2 (MIT; its checksum is libscrc's, GPL): its protocol object, fed as by pyserial. It has no
    notion of a pause."""
    _fetch("pyImpinj==1.2", "libscrc==1.8.1")
    factory = importlib.import_module("pyImpinj").ImpinjProtocolFactory

    def read(parts: list[bytes], pauses: bool) -> list[bytes]:
        tags: queue.Queue[dict[str, object]] = queue.Queue()
        parser = factory(tags, queue.Queue(), 1)
        for part in parts:
            parser.data_received(part)
        found = [tags.get_nowait() for _ in range(tags.qsize())]
        return [bytes.fromhex(str(tag["epc"])) for tag in found if tag["type"] == "TAG"]

    return read


def chafon() -> Read:
    """wabson-chafon-rfid 1.0.0 (MIT): takes a buffer of whole frames and raises at the first bad one, so what
    comes between two pauses is a buffer, and what is behind its first bad frame is lost."""
    _fetch("wabson-chafon-rfid==1.0.0")
    answer = importlib.import_module("chafon_rfid.uhfreader288m").G2InventoryResponse

    def read(parts: list[bytes], pauses: bool) -> list[bytes]:
        found: list[bytes] = []
        for buffer in parts if pauses else [b"".join(parts)]:
            try:
                for tag in answer(buffer).get_tag():
                    found.append(bytes(tag.epc))
            except (ValueError, IndexError):  # where it ends on a noisy line
                continue
        return found

    return read


MAKERS: dict[str, tuple[str, Callable[[], Read]]] = {
    "uhfreader18": ("wabson-chafon-rfid 1.0.0", chafon),
    "r2000": ("pyImpinj 1.2", pyimpinj),
}


def peer(protocol: str) -> tuple[str, Read | None]:
    """Its name and what it reads with; or in words why there is none."""
    if protocol not in MAKERS:
        return ABSENT[protocol], None
    name, make = MAKERS[protocol]
    try:
        return name, make()
    except (ImportError, OSError, subprocess.SubprocessError) as error:
        return f"{name} is not here: {str(error)[:80]}", None


def _fetch(*packages: str) -> None:
    folder = FOLDER / packages[0].partition("=")[0]
    if not folder.exists():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder)]
        subprocess.run([*pip, *packages], check=True, timeout=300, capture_output=True)
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
