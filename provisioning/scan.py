"""Every code in picture files: what ``tallygate scan`` prints and ``pass inspect`` reads.

Uses the board's own decoders on the same picture at several sizes. A payment code is money: its text
is never returned, only its kind.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from firmware.wire.codes import classify
from firmware.wire.passes import MAX_SHOWN_BYTES, verify
from firmware.wire.refusals import Refusal
from hal.camera.pictures import PictureError, load
from hal.camera.port import Gray
from hal.decoder.port import Code

if TYPE_CHECKING:
    from hal.vision.second import ZbarProcess

LONG_SIDES = (4000, 1920, 1280, 960, 640)
SECOND_LIMIT_S = 1.5
SECOND_LONG_SIDE = 1920
REFUSED = {"paycode": "paycode-here", "url": "url-here", "other": "not-a-pass"}


def scan_files(
    paths: Iterable[str | Path],
    *,
    store: str = "",
    keys: Mapping[int, bytes] | None = None,
    now_s: float | None = None,
) -> Iterator[dict[str, object]]:
    """One answer per file, in order: ``{"file", "ms", "codes": [{"text", "kind", "verdict"}]}``, or
    ``{"file", "ms", "error"}`` for a file that cannot be read. Never raises for a file's content.

    ``verdict`` is what an entry gate of ``store`` with the public ``keys`` (key id -> 32 bytes) would say
    at ``now_s`` (unix s): "good" or a reason of ``firmware.wire.refusals``; "unchecked" for a pass
    without keys. Codes stand from the largest to the smallest.
    """
    with _Reader() as reader:
        for path in paths:
            began = time.perf_counter()
            answer: dict[str, object] = {"file": str(path)}
            try:
                codes = reader.read(Path(path))
            except PictureError as error:
                answer["error"] = str(error)
            else:
                now = time.time() if now_s is None else now_s
                answer["codes"] = [_told(code.data, store, keys, now) for code in codes]
            answer["ms"] = round((time.perf_counter() - began) * 1000, 1)
            yield {key: answer[key] for key in ("file", "ms", "codes", "error") if key in answer}


def codes_in(path: Path) -> list[bytes]:
    """The payloads in one picture, largest code first. Raises PictureError."""
    return [code.data for code in read_codes(path)]


def read_codes(path: Path) -> list[Code]:
    """Every code in one picture, largest first. Raises PictureError."""
    with _Reader() as reader:
        return reader.read(path)


class _Reader:
    """The decoders; zbar's process is started for the first picture in which zxing finds nothing."""

    def __init__(self) -> None:
        from hal.decoder.zxing import Zxing

        self._decoders = (Zxing(), Zxing(second_binarizer=True))
        self._zbar: ZbarProcess | None = None

    def __enter__(self) -> _Reader:
        return self

    def __exit__(self, *_: object) -> None:
        if self._zbar:
            self._zbar.close()

    def read(self, path: Path) -> list[Code]:
        pictures = load(path, LONG_SIDES)
        found: list[Code] = []
        for decoder in self._decoders:
            for gray in pictures:
                found += [code for code in decoder.read(gray) if not _known(code, found)]
        return sorted(found or self._second_opinion(pictures), key=lambda code: -code.area)

    def _second_opinion(self, pictures: list[Gray]) -> list[Code]:
        """zbar in its own process; it is not asked again over a picture that it does not survive."""
        from hal.vision.plan import VARIANTS
        from hal.vision.second import ZbarProcess

        if self._zbar is None:
            self._zbar = ZbarProcess(lambda name, detail: None, limit_s=SECOND_LIMIT_S)
        small = [gray for gray in pictures if max(gray.shape) <= SECOND_LONG_SIDE]
        for gray in sorted(small, key=lambda gray: abs(max(gray.shape) - 960)):
            for variant in VARIANTS:
                codes = self._zbar.read(gray, variant)
                if codes is None:
                    return []
                if codes:
                    return codes
        return []


def _known(code: Code, found: list[Code]) -> bool:
    """The same payload at the same place: within half the code's height of a known one's middle."""
    x, y = _middle(code)
    for other in found:
        ox, oy = _middle(other)
        reach = max(other.share, code.share) / 2
        if other.data == code.data and abs(x - ox) < reach and abs(y - oy) < reach:
            return True
    return False


def _middle(code: Code) -> tuple[float, float]:
    return sum(x for x, _ in code.corners) / 4, sum(y for _, y in code.corners) / 4


def _told(data: bytes, store: str, keys: Mapping[int, bytes] | None, now_s: float) -> dict[str, str]:
    kind = classify(data)
    if kind == "paycode":
        return {"text": "(a payment code, not shown)", "kind": kind, "verdict": REFUSED[kind]}
    text = data.decode("utf-8", "backslashreplace")
    if len(data) > MAX_SHOWN_BYTES:
        verdict = "too-long"
    elif kind != "pass":
        verdict = REFUSED[kind]
    elif keys is None:
        verdict = "unchecked"
    else:
        result = verify(data, store_id=store, keys=keys, now_s=now_s)
        verdict = result.reason if isinstance(result, Refusal) else "good"
    return {"text": text, "kind": kind, "verdict": verdict}
