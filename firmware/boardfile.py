"""Reads board files and site files, and checks what a schema cannot: pins, pairs, models.

Every fault is one sentence naming file, key and limit; all faults of a file are reported together.
Never opens a device.
"""

from __future__ import annotations

import difflib
import ipaddress
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct

from firmware.boardschema import Board, Site
from firmware.gate.timing import RANGES, TRIES, Timing
from firmware.portal.pricerules import Rules as PriceRules
from firmware.portal.timing import RANGES as PORTAL_RANGES
from firmware.portal.timing import Timing as PortalTiming
from hal.ports import INPUTS, OUTPUTS
from hal.reader.families import family

GATES = ("entry", "exit")
NEEDED_INPUTS = {
    "entry": ("leaf", "beam_outer", "beam_inner", "fire"),
    "exit": ("leaf", "beam_outer", "beam_inner", "fire"),
    "portal": ("occupied",),
    "pricepoint": (),
}
NEEDED_OUTPUTS = {"entry": ("release",), "exit": ("release",)}
MODELS = {"Raspberry Pi 4": "pi4", "Raspberry Pi 5": "pi5", "Raspberry Pi Zero 2": "zero2w"}
"""Start of /proc/device-tree/model to the board file's name for it."""

NO_SITE_FILE = (
    "; name one with --site: `make run` writes build/run/site.toml, "
    "install.sh writes /etc/tallygate/site.toml"
)
WRONG_CHOICE = "Invalid enum value "

T = TypeVar("T", bound=Struct)


class BoardFileError(Exception):
    """One or more faults in a board or site file; ``faults`` holds one sentence each."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


def load(path: Path) -> Board:
    """The board file at ``path``. Raises BoardFileError with every fault found."""
    board = _load(path, Board)
    faults = [f"{path}: {fault}" for fault in _board_faults(board)]
    if faults:
        raise BoardFileError(faults)
    return board


def load_site(path: Path) -> Site:
    """The site file at ``path``. Raises BoardFileError with every fault found."""
    site = _load(path, Site, if_missing=NO_SITE_FILE)
    faults = [f"{path}: {fault}" for fault in _site_faults(site)]
    if faults:
        raise BoardFileError(faults)
    return site


def device_tree_fault(board: Board, model_file: Path = Path("/proc/device-tree/model")) -> str | None:
    """One sentence when the file is for another model than the board it runs on."""
    if board.board.model == "simulated":
        return None
    try:
        model = model_file.read_text(encoding="utf-8", errors="replace").rstrip("\0\n ")
    except OSError:
        return f"the board file is for a {board.board.model}, but here is no {model_file}: no Raspberry Pi"
    found = next((name for start, name in MODELS.items() if model.startswith(start)), None)
    if found == board.board.model:
        return None
    return f'the board file is for a {board.board.model}, but this is a "{model}"; use its own board file'


def gate_timing(board: Board) -> Timing:
    """The gate's limits. Raises ValueError when two of them contradict each other."""
    return Timing(**{name: getattr(board.gate, name) for name in (*RANGES, *TRIES)})


def portal_timing(board: Board) -> PortalTiming:
    """The portal's times. Raises ValueError when two of them contradict each other."""
    return PortalTiming(**{name: getattr(board.portal, name) for name in PORTAL_RANGES})


def price_rules(board: Board) -> PriceRules:
    """The price point's limits. Raises ValueError when two of them contradict each other."""
    section = board.pricepoint
    return PriceRules(**{name: getattr(section, name) for name in section.__struct_fields__})


def _read(path: Path, if_missing: str) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BoardFileError([f"{path}: no such file{if_missing}"]) from None
    except OSError as error:
        raise BoardFileError([f"{path}: cannot be read: {error.strerror}"]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BoardFileError([f"{path}: not valid TOML: {error}"]) from None


def _load(path: Path, kind: type[T], if_missing: str = "") -> T:
    data = _read(path, if_missing)
    faults = [f"{path}: {fault}" for fault in _unknown_keys(data, kind, "")]
    if faults:
        raise BoardFileError(faults)
    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        text = str(error)
        reason, _, where = text.partition(" - at ")
        key = where.strip("`").removeprefix("$.") or "top level"
        if "[...]" in key:
            key = key.replace("[...]", f".{_bad_entry(data, key, kind)}")
        if reason.startswith(WRONG_CHOICE):
            reason = f"{reason.removeprefix(WRONG_CHOICE)} is none of {_choices(kind, key)}"
        raise BoardFileError([f"{path}: {key}: {reason}"]) from None


def _bad_entry(data: dict[str, Any], key: str, kind: type[Struct]) -> str:
    """The name in a table of tables whose entry does not convert: the library says only "[...]"."""
    table: Any = data
    hint: Any = kind
    for part in key.split("[...]")[0].split("."):
        table, hint = table[part], get_type_hints(hint, include_extras=True)[part]
    for name, item in table.items():
        try:
            msgspec.convert(item, get_args(hint)[1])
        except msgspec.ValidationError:
            return str(name)
    return "NAME"


def _choices(kind: type[Struct], key: str) -> str:
    """What may stand at ``key``, a choice: the library says only that another thing stands there."""
    hint: Any = kind
    for part in key.split("."):
        if get_origin(hint) is dict:
            hint = get_args(hint)[1]
        else:
            hint = get_type_hints(next(_structs(hint)))[part]
    choice = next(part for part in (hint, *get_args(hint)) if get_origin(part) is Literal)
    return ", ".join(map(repr, get_args(choice)))


def _unknown_keys(data: Any, kind: type[Struct], where: str) -> Iterator[str]:
    """Sentences for keys that ``kind`` does not have, with the nearest one that it has."""
    if not isinstance(data, dict):
        return
    hints = get_type_hints(kind)
    for key, value in data.items():
        if key not in hints:
            near = difflib.get_close_matches(key, hints, n=1, cutoff=0.5)
            hint = f'; did you mean "{near[0]}"?' if near else f" (known: {', '.join(hints)})"
            yield f'unknown key "{where}{key}"{hint}'
        elif get_origin(hints[key]) is dict and isinstance(value, dict):
            for name, item in value.items():
                for inner in _structs(get_args(hints[key])[1]):
                    yield from _unknown_keys(item, inner, f"{where}{key}.{name}.")
        else:
            for inner in _structs(hints[key]):
                yield from _unknown_keys(value, inner, f"{where}{key}.")


def _structs(hint: Any) -> Iterator[type[Struct]]:
    for part in (hint, *get_args(hint)):
        if isinstance(part, type) and issubclass(part, Struct):
            yield part


def _board_faults(board: Board) -> Iterator[str]:
    role = board.board.role
    yield from _name_faults("input", board.pins.inputs, INPUTS, NEEDED_INPUTS[role])
    yield from _name_faults("output", board.pins.outputs, OUTPUTS, NEEDED_OUTPUTS.get(role, ()))
    yield from _pin_faults(board)
    if board.reader is not None:
        try:
            family(board.reader)
        except ValueError as error:
            yield f"reader: {error}"
    yield from _gate_faults(board) if role in GATES else _reading_faults(board)
    yield from _simulation_faults(board)


def _gate_faults(board: Board) -> Iterator[str]:
    release = board.pins.outputs.get("release")
    if release is not None:
        if release.energised == "on":
            yield 'pins.outputs.release.energised: say "releases" or "locks"'
        if board.board.role == "exit" and release.fail != "safe":
            yield 'pins.outputs.release.fail: an exit may only be "safe" (people must get out without power)'
        if (release.energised == "locks") != (release.fail == "safe"):
            other = "safe" if release.energised == "locks" else "secure"
            yield (
                f'pins.outputs.release: a lock that "{release.energised}" when energised falls to "{other}" '
                f'without power, so fail = "{release.fail}" cannot hold'
            )
    for name, pin in board.pins.outputs.items():
        if name != "release" and name in OUTPUTS and pin.energised != "on":
            yield f'pins.outputs.{name}.energised: only the lock says "{pin.energised}"; leave it out'
    try:
        gate_timing(board)
    except ValueError as error:
        yield f"gate: {error}"
    motors = {"motor_open", "motor_close"} & board.pins.outputs.keys()
    if board.gate.motor and len(motors) < 2:
        yield "gate.motor is true: pins.outputs.motor_open and pins.outputs.motor_close are needed"
    if not board.gate.motor and motors:
        yield f"gate.motor is false, but pins.outputs.{min(motors)} is given"
    if board.camera is None and board.scanner is None:
        yield "no source of codes: give a [camera] or a [scanner]"


def _reading_faults(board: Board) -> Iterator[str]:
    """A portal or a price point: a reader, and none of a gate's lines."""
    role = board.board.role
    if board.reader is None:
        yield f"a {role} needs a [reader]"
    for name in ("release", "motor_open", "motor_close"):
        if name in board.pins.outputs:
            yield f"pins.outputs.{name}: a {role} has no leaf"
    if role == "pricepoint":
        try:
            price_rules(board)
        except ValueError as error:
            yield f"pricepoint: {error}"
    if role == "portal":
        try:
            portal_timing(board)
        except ValueError as error:
            yield f"portal: {error}"
        if board.portal.payment == "store" and board.camera is None and board.scanner is None:
            yield 'portal.payment is "store": give a [camera] or a [scanner] that reads the payment code'
        if board.display.driver == "none" and board.portal.payment == "store":
            yield 'portal.payment is "store": give a [display], nobody pays a price that is not shown'
        used = board.reader.antennas if board.reader is not None else []
        for antenna in board.portal.veto_antennas:
            if antenna not in used:
                yield f"portal.veto_antennas: antenna {antenna} is not in reader.antennas"
        if used and set(used) <= set(board.portal.veto_antennas):
            yield "portal.veto_antennas names every antenna: none is left for the portal itself"


def _name_faults(what: str, given: dict[str, Any], known: Any, needed: tuple[str, ...]) -> Iterator[str]:
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f'; did you mean "{near[0]}"?' if near else f" (known: {', '.join(known)})"
            yield f'unknown {what} "pins.{what}s.{name}"{hint}'
    for name in needed:
        if name not in given:
            yield f"pins.{what}s.{name} is missing ({known[name]})"


def _pin_faults(board: Board) -> Iterator[str]:
    used: dict[int, str] = {}
    lines = [(f"inputs.{n}", p.pin) for n, p in board.pins.inputs.items()]
    lines += [(f"outputs.{n}", p.pin) for n, p in board.pins.outputs.items()]
    for name, pin in lines:
        if pin in used:
            yield f"pins.{name}.pin: GPIO {pin} is already used by pins.{used[pin]}"
        used.setdefault(pin, name)


def _simulation_faults(board: Board) -> Iterator[str]:
    simulated = board.board.model == "simulated"
    wanted = ("mock" if simulated else "lgpio", *(() if board.board.role in GATES else ("none",)))
    if board.pins.factory not in wanted:
        yield f'pins.factory: "{board.pins.factory}" does not fit board.model = "{board.board.model}"'
    if board.pins.factory == "none" and (board.pins.inputs or board.pins.outputs):
        yield 'pins.factory is "none", but lines are given'
    if simulated and board.sim is None:
        yield "a simulated board needs a [sim] section"
    if not simulated:
        if board.sim is not None:
            yield f"[sim] is for simulated boards, this one is a {board.board.model}"
        if board.camera is not None and board.camera.driver == "simulated":
            yield 'camera.driver: "simulated" is for simulated boards'
        if board.reader is not None and board.reader.port == "sim":
            yield 'reader.port: "sim" is for simulated boards'


def _site_faults(site: Site) -> Iterator[str]:
    if site.board == "store":
        yield 'board: "store" is reserved, choose another id'
    for key in site.pass_keys:
        if not key.isdigit() or not 1 <= int(key) <= 255:
            yield f'pass_keys: "{key}" is no key id (1 to 255)'
    if not site.pass_keys:
        yield "pass_keys is empty: no pass could be verified"
    broker = site.broker
    if broker.ca is None and not _is_loopback(broker.host):
        yield f"broker.ca is missing: without TLS only a loopback broker is allowed, not {broker.host}"
    if (broker.cert is None) != (broker.key is None):
        yield "broker.cert and broker.key belong together"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
