"""The wires of a board in words, from its board file: pins of the header, and the RFID module's own cable.

A board never imports it. Must never name a level that the pin driver would not drive: polarity is asked of
``PinOut``.
"""

from __future__ import annotations

from dataclasses import dataclass

from firmware.boardschema import Board, InputPin, ReaderSection
from firmware.safe import pin_outs
from hal.pins.outputs import PinOut
from hal.ports import INPUTS

HEADER = {
    pin: number
    for number, pin in (
        *((3, 2), (5, 3), (7, 4), (8, 14), (10, 15), (11, 17), (12, 18), (13, 27), (15, 22), (16, 23)),
        *((18, 24), (19, 10), (21, 9), (22, 25), (23, 11), (24, 8), (26, 7), (27, 0), (28, 1), (29, 5)),
        *((31, 6), (32, 12), (33, 13), (35, 19), (36, 16), (37, 26), (38, 20), (40, 21)),
    )
}
"""GPIO (BCM) number to pin of the 40-pin header, the same on every Raspberry Pi that has it."""
TXD, RXD = 14, 15
"""GPIO numbers of the header's UART."""
UARTS = ("/dev/ttyAMA", "/dev/ttyS", "/dev/serial0", "/dev/serial1")
"""How a serial port of the header begins; any other is a USB port."""
USB_DBM = 22.0
"""Modules were seen to brown out above this on a 500 mA USB port (SparkFun's notes on the M6E Nano)."""
REST = {
    "leaf": "the leaf is open",
    "beam_outer": "the beam is clear",
    "beam_inner": "the beam is clear",
    "fire": "no fire",
    "help": "nobody presses",
    "occupied": "nobody is in the portal",
    "crowded": "no second person",
}
"""What each input says while it is not active."""
FITTED = {
    "leaf": "leaf contact",
    "beam_outer": "beam, street side",
    "beam_inner": "beam, shop side",
    "fire": "fire loop",
    "help": "help button",
    "occupied": "presence sensor",
    "crowded": "second-person sensor",
    "release": "lock relay",
    "motor_open": "motor relay, open",
    "motor_close": "motor relay, close",
    "lamp_green": "green lamp",
    "lamp_red": "red lamp",
    "buzzer": "buzzer",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One wire in words. ``rest``: its pull resistor (outputs), or what a cut wire reads as (inputs)."""

    name: str
    gpio: int
    wire: str
    rest: str


def input_line(name: str, pin: InputPin) -> Line:
    """How the contact of an input is wired, and what a cut wire looks like to the board."""
    active = INPUTS[name].removeprefix("active = ")
    if pin.pull == "none":
        level = "low" if pin.active_low else "high"
        return Line(name, pin.pin, f"driven by the device, {level}: {active}", "anything: fit a pull")
    closed_is_active = (pin.pull == "up") == pin.active_low
    contact = f"contact to {'GND' if pin.pull == 'up' else '3.3 V'}"
    wire = f"{contact}, {'closed' if closed_is_active else 'open'}: {active.split(' (')[0]}"
    return Line(name, pin.pin, wire, REST[name] if closed_is_active else active)


def output_line(out: PinOut) -> Line:
    """Which level energises the relay, and where the pull resistor must hold it."""
    on = "low" if out.active_low else "high"
    does = {"locks": "the lock holds", "releases": "the lock lets go", "on": "on"}[out.energised]
    pull = "10 kΩ to 3.3 V" if out.level(out.safe_value) else "10 kΩ to GND"
    return Line(out.name, out.pin, f"{on}: {does}", pull)


def lines_of(board: Board) -> tuple[list[Line], list[Line]]:
    """The inputs and the outputs of a board, in the order of its file."""
    ins = [input_line(name, pin) for name, pin in board.pins.inputs.items()]
    return ins, [output_line(out) for out in pin_outs(board)]


def falls(out: PinOut) -> str:
    """What an output does without program or renewal."""
    if out.name == "release":
        where = "released" if out.safe_value else "locked"
        return f"{where}, after {out.hold_limit_s:g} s"
    return f"off, after {out.hold_limit_s:g} s"


# -- the RFID module ---------------------------------------------------------------------------------


def on_header(reader: ReaderSection) -> bool:
    """Its wires go to the header's UART; else it is on USB."""
    return reader.port.startswith(UARTS)


def reader_wires(reader: ReaderSection) -> list[tuple[str, str]]:
    """(wire of the module, where it goes)."""
    speed = f"{reader.baud} baud, 8N1"
    if not on_header(reader):
        return [("USB", f"a USB port of the board ({reader.port}, {speed})"), ("supply", supply(reader))]
    return [
        ("RXD", f"GPIO {TXD} (TXD), pin {HEADER[TXD]}; 3.3 V level"),
        ("TXD", f"GPIO {RXD} (RXD), pin {HEADER[RXD]}; 3.3 V level ({reader.port}, {speed})"),
        ("GND", "GND, pin 6"),
        ("supply", supply(reader)),
    ]


def supply(reader: ReaderSection) -> str:
    if reader.power_dbm > USB_DBM:
        return f"its own, or a USB port with well over 500 mA, for {reader.power_dbm:g} dBm"
    if on_header(reader):
        return "5 V, pin 2, if the module's data sheet takes 5 V"
    return f"over USB, at {reader.power_dbm:g} dBm"


def antenna_words(board: Board) -> list[tuple[int, str]]:
    """(port, where its antenna looks)."""
    if board.reader is None:
        return []
    veto = board.portal.veto_antennas
    looks = "up, to the item that is held there" if board.board.role == "pricepoint" else "into the portal"
    away = "away from the portal, to the shelves"
    return [(port, away if port in veto else looks) for port in board.reader.antennas]
