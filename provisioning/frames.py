"""``tallygate frames``: what a logic analyser or a serial log saw of a reader, in words. Opens no device.

Hex text in, one JSON line for each event out, as it comes: it may stand in an endless pipe. The same bytes
give the same lines however they arrive.
"""

from __future__ import annotations

import codecs
import importlib
import json
import signal
import sys
from collections.abc import Iterator
from enum import IntEnum, StrEnum
from typing import Annotated, Any, BinaryIO

import typer

from hal.reader.events import Alive, Command, Condition, ErrorReply, Event, Response, RoundEnd, Tag
from hal.reader.families import codec
from provisioning.frame_fields import fields
from provisioning.hexstream import HexStream
from provisioning.trouble import BAD_INPUT, Trouble

PIECE = 65536
TABLES = ("NAMES", "Cmd", "Op", "Opcode", "COMMANDS")
"""What a protocol's module may call its table of commands: numbers to words, or an IntEnum."""


MISSING = {"yrm100": ("antenna", "read_count"), "uhfreader18": ("pc", "read_count"), "r2000": ("read_count",)}
"""What a protocol's tag reports never hold; the board has a stand-in there, the wire has nothing."""


class Protocol(StrEnum):
    """``hal.reader.families.PROTOCOLS``, for the command line."""

    yrm100 = "yrm100"
    thingmagic = "thingmagic"
    uhfreader18 = "uhfreader18"
    r2000 = "r2000"


class Side(StrEnum):
    """Whose frames were seen. ``reader`` is another word for the module."""

    module = "module"
    host = "host"
    reader = "reader"


def frames(
    protocol: Annotated[Protocol, typer.Option("--protocol", help="What the module speaks.")],
    direction: Annotated[
        Side,
        typer.Option("--direction", help="Whose frames they are: the module's, or the host's commands."),
    ] = Side.module,
) -> None:
    """Say what the frames of an RFID module mean.

    Reads hexadecimal bytes from standard input (white space, commas, colons and 0x mean nothing) and prints
    one JSON line for each event: tag, response, error, alive, round, condition or command; the last line
    counts frames, failed checks and bytes that belong to no frame (after Ctrl-C too). Exit code 2 for text
    that is not hexadecimal.

    Example: tallygate frames --protocol yrm100 < capture.txt
    """
    side = "host" if direction is Side.host else "module"
    if sys.stdin is None:
        raise Trouble("standard input is closed; give the bytes in hex there", BAD_INPUT)
    with UntilCtrlC(sys.stdin.buffer) as stream:
        for line in decode(stream, protocol.value, side):
            sys.stdout.write(line)
            sys.stdout.flush()
    if stream.interrupted:
        raise KeyboardInterrupt


class UntilCtrlC:
    """A stream that ends at Ctrl-C: so one ends a live capture, and the counts are owed all the same."""

    def __init__(self, stream: BinaryIO) -> None:
        self._read = getattr(stream, "read1", stream.read)
        self._reading = self.interrupted = False

    def __enter__(self) -> UntilCtrlC:
        self._before = signal.getsignal(signal.SIGINT)
        if self._before is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._ctrl_c)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _ctrl_c(self, *_: object) -> None:
        if self.interrupted or self._reading:  # a second one ends whatever else holds it up
            self.interrupted = True
            raise KeyboardInterrupt
        self.interrupted = True

    def read(self, size: int = -1) -> bytes:
        try:
            self._reading = True
            return b"" if self.interrupted else self._read(size)
        except KeyboardInterrupt:
            return b""
        finally:
            self._reading = False


def decode(stream: BinaryIO | UntilCtrlC, protocol: str, direction: str = "module") -> Iterator[str]:
    """The lines for what ``stream`` holds, as many at a time as came together, with their line feeds.

    Raises Trouble with line and column for text that is not hexadecimal, after the lines before it."""
    reader = codec(protocol, "host" if direction == "host" else "module")
    names = command_names(protocol)
    words = HexStream()
    # A file that begins with a byte order mark was saved by Windows, not seen on a wire.
    text = codecs.getincrementaldecoder("utf-8-sig")(errors="replace")
    read = getattr(stream, "read1", stream.read)
    ended = False
    while not ended:
        piece = read(PIECE)
        ended = not piece
        data, error = words.feed(text.decode(piece, final=ended))
        if ended and error is None:
            last, error = words.end()
            data += last
            if getattr(stream, "interrupted", False):
                error = None
        events = reader.feed(data)
        if ended and error is None:
            events += reader.idle()
        lines = "".join(_line(as_fields(event, protocol, names)) for event in events)
        if lines:
            yield lines
        if error is not None:
            raise Trouble(f"standard input, {error}", BAD_INPUT)
    counters = reader.counters
    end = {
        "event": "end",
        "frames": counters.frames,
        "bad_check": counters.bad_checks,
        "junk_bytes": counters.junk,
    }
    # Frames that hold but say nothing usable: shown only where there are any.
    more = {"dropped_tags": counters.dropped_tags, "unknown_frames": counters.unknown}
    yield _line({**end, **{name: count for name, count in more.items() if count}})


def command_names(protocol: str) -> dict[int, str]:
    """Command numbers of a protocol in words, as its own module has them."""
    module = importlib.import_module(f"hal.reader.{protocol}")
    for name in TABLES:
        table = getattr(module, name, None)
        if isinstance(table, dict):
            return {int(number): str(text) for number, text in table.items()}
        if isinstance(table, type) and issubclass(table, IntEnum):
            return {member.value: member.name.lower().replace("_", " ") for member in table}
    return {}


def as_fields(event: Event, protocol: str, names: dict[int, str]) -> dict[str, Any]:
    """One event as plain data: bytes as lower-case hex, None for what the protocol does not say."""

    def command(number: int | None) -> dict[str, Any]:
        if number is None:
            return {"cmd": None, "name": None}
        return {"cmd": f"0x{number:02X}", "name": names.get(number, f"0x{number:02X}")}

    match event:
        case Tag():
            return {**_tag(event), **dict.fromkeys(MISSING.get(protocol, ()))}
        case Response():
            said = {"status": event.status, "data": event.data.hex()}
            return {
                "event": "response",
                **command(event.cmd),
                **said,
                **fields(protocol, event.cmd, event.data),
            }
        case ErrorReply():
            about = {"code": f"0x{event.code:02X}", "text": event.text, "data": event.data.hex()}
            return {"event": "error", **command(event.cmd), **about, "antenna": event.antenna}
        case Alive():
            return {"event": "alive", "what": event.what, "data": event.data.hex()}
        case RoundEnd():
            return {"event": "round", **command(event.cmd), "reads": event.reads, "antenna": event.antenna}
        case Condition():
            return {
                "event": "condition",
                "condition": event.name,
                "text": event.text,
                "value": event.value,
                "antenna": event.antenna,
            }
        case Command():
            return {"event": "command", **command(event.cmd), "data": event.data.hex()}


def _tag(tag: Tag) -> dict[str, Any]:
    # A report without a level has a 0 there, which no module measures.
    said = tag.rssi_dbm is not None or tag.rssi_raw != 0
    return {
        "event": "tag",
        "epc": tag.epc.hex(),
        "pc": f"{tag.pc:04x}",
        "rssi_dbm": tag.rssi_dbm,
        "rssi_raw": tag.rssi_raw if said else None,
        "antenna": tag.antenna,
        "freq_khz": tag.freq_khz,
        "phase": tag.phase,
        "read_count": tag.read_count,
        "module_ms": tag.module_ms,
    }


def _line(data: dict[str, Any]) -> str:
    return json.dumps(data, ensure_ascii=False) + "\n"
