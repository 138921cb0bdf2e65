"""What a board file and a site file may say: sections, keys, ranges and defaults. Data only.

A board file (``boards/*.toml``) says which hardware there is and how it is driven; the site file
beside it (``site.toml``) says which board this is, whose shop and where the broker is.
Reading and cross-checks are in ``firmware.boardfile``; the docstring under each key is its line in the
generated ``docs/boards.md``.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from firmware.portalschema import Antenna, PortalSection, PricepointSection

Short = Annotated[float, Meta(ge=0.001, le=1)]
PinNumber = Annotated[int, Meta(ge=0, le=27)]
Id = Annotated[str, Meta(pattern=r"^[a-z0-9-]{1,32}$")]
Line = Annotated[str, Meta(min_length=1, max_length=256)]


class BoardSection(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which board this file fits."""

    model: Literal["simulated", "pi4", "pi5", "zero2w"]
    """The board's model; on a Pi it is checked against the device tree."""
    role: Literal["entry", "exit", "portal", "pricepoint"]
    """What it is in the shop: a gate in or out, the checkout portal, a price point on a shelf."""
    description: Annotated[str, Meta(max_length=200)] = ""
    """One line for people."""


class InputPin(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One input line."""

    pin: PinNumber
    """GPIO number (BCM)."""
    active_low: bool = True
    """The input is active while the line is low."""
    pull: Literal["up", "down", "none"] = "up"
    """The pull resistor the board sets."""
    debounce_s: Short = 0.02
    """A level counts after it has been stable for so long, s."""


class OutputPin(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One output line."""

    pin: PinNumber
    """GPIO number (BCM)."""
    active_low: bool = False
    """The line is low while the relay is energised."""
    energised: Literal["releases", "locks", "on"] = "on"
    """What the energised relay does: for the lock ``releases`` or ``locks``, else ``on``."""
    fail: Literal["safe", "secure"] = "safe"
    """Where the lock goes without power or program: released (safe) or locked (secure)."""
    hold_limit_s: Annotated[float, Meta(ge=0.5, le=60)] = 2.0
    """The driver lets the output fall to its safe value when not renewed for so long, s."""


class PinsSection(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The board's lines."""

    factory: Literal["lgpio", "mock", "none"]
    """``lgpio`` on a Pi; ``mock`` in the simulation; ``none``: no lines. Never chosen by itself."""
    inputs: dict[str, InputPin] = {}
    """By name: leaf, beam_outer, beam_inner, fire, help; of a portal occupied, crowded, help."""
    outputs: dict[str, OutputPin] = {}
    """By name: release, motor_open, motor_close, lamp_green, lamp_red, buzzer."""


class GateSection(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Times of the gate; each timed state ends at one of them. Ranges as in firmware/gate/timing.py."""

    motor: bool = True
    """The leaf is driven by a motor; false: a lock only, people push and a spring closes."""
    sensors_s: Annotated[float, Meta(ge=1, le=30)] = 5.0
    """Wait for the first reading of the sensors after a start, s."""
    open_s: Annotated[float, Meta(ge=0.2, le=10)] = 1.5
    """Run of the opening motor; the leaf must have left its contact by then, s."""
    retry_s: Annotated[float, Meta(ge=0.2, le=5)] = 0.6
    """Pause with lock and motor off before the second try to open, s."""
    reverse_s: Annotated[float, Meta(ge=0.05, le=2)] = 0.2
    """Pause of the motor between closing and opening, s."""
    pass_s: Annotated[float, Meta(ge=2, le=60)] = 8.0
    """Time to start walking through after a grant or a passage, s."""
    stand_s: Annotated[float, Meta(ge=2, le=120)] = 10.0
    """Longest stay in the beams before it is an alarm, s."""
    clear_s: Annotated[float, Meta(ge=0.1, le=5)] = 0.4
    """Pause after the lane is clear before the leaf closes, s."""
    close_s: Annotated[float, Meta(ge=0.5, le=20)] = 3.0
    """The leaf must be on its contact this long after it began to close, s."""
    held_s: Annotated[float, Meta(ge=5, le=300)] = 20.0
    """Buzzer time of a blocked lane before it is left open, quiet, as a fault, s."""
    forced_s: Annotated[float, Meta(ge=2, le=300)] = 15.0
    """Buzzer time after the leaf was forced, before it is closed again, s."""
    fire_over_s: Annotated[float, Meta(ge=5, le=600)] = 30.0
    """The fire line must be quiet this long before the gate closes again, s."""
    stuck_s: Annotated[float, Meta(ge=10, le=3600)] = 60.0
    """A beam broken this long counts as defective or covered, s."""
    open_tries: Annotated[int, Meta(ge=1, le=10)] = 2
    """Tries to open before the gate is a fault."""
    close_tries: Annotated[int, Meta(ge=1, le=10)] = 3
    """Tries to close before the gate is a fault."""


class CameraSection(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where frames come from."""

    driver: Literal["simulated", "pi", "v4l2", "pictures"]
    """``pi`` is picamera2; ``v4l2`` a USB camera; ``pictures`` a folder of image files."""
    device: Line = "/dev/video0"
    """v4l2: the device; pictures: the folder; pi: the camera's number ("0", "1")."""
    width: Annotated[int, Meta(ge=160, le=1920)] = 640
    """Frame width, pixels."""
    height: Annotated[int, Meta(ge=120, le=1080)] = 480
    """Frame height, pixels."""
    fps: Annotated[float, Meta(ge=1, le=60)] = 15.0
    """Frames per second."""
    lens_position: Annotated[float, Meta(ge=0, le=15)] | None = None
    """pi: fixed focus in dioptres (1/m); absent: continuous autofocus where there is one."""
    mains_hz: Literal[50, 60] = 50
    """Mains frequency, against lamp flicker."""
    progress_s: Annotated[float, Meta(ge=0.5, le=30)] = 3.0
    """No new frame for so long: the camera process is restarted, s."""


class DecoderSection(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which decoders read frames."""

    second_opinion: Literal["none", "zbar"] = "none"
    """``zbar`` adds zbar-py in a process of its own for frames that zxing-cpp cannot read."""


class ScannerSection(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A serial scanner head (GM65 class) beside or instead of the camera."""

    port: Line
    """Serial device."""
    baud: Literal[9600, 19200, 38400, 57600, 115200] = 9600
    """Line speed, baud."""


USUAL_BAUD = {"uhfreader18": 57600}
"""Line speed that a protocol's modules come with, where it is not 115,200."""


class ReaderSection(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An RFID module on a UART."""

    protocol: Literal["yrm100", "thingmagic", "uhfreader18", "r2000"]
    """The module's wire protocol (docs/field-guide.md names the modules)."""
    port: Line
    """Serial device; ``sim`` = the simulated module on a pseudo-terminal."""
    baud: Literal[0, 9600, 19200, 38400, 57600, 115200, 230400, 460800, 921600] = 0
    """Line speed, baud; absent: what its modules come with (uhfreader18 57600, others 115200)."""
    region: Literal["cn900", "cn800", "us", "eu", "kr", "jp", "in", "au"] = "cn900"
    """Radio region; local rules apply, and not every module has every one."""
    power_dbm: Annotated[float, Meta(ge=0, le=33)] = 20.0
    """Transmit power at the antenna port, dBm."""
    power_offset_db: Annotated[float, Meta(ge=-10, le=10)] = 0.0
    """What the module adds to the power it is told: 6 on the 26 dBm YRM100; measure it, dB."""
    antennas: tuple[Antenna, ...] = (1,)
    """Ports to use, from 1."""
    session: Annotated[int, Meta(ge=0, le=3)] = 0
    """Gen2 session. 0 reads every tag again and again, which a portal's decision needs."""
    inventory: Literal[
        "", "multi", "single", "stream", "answer", "push", "real-time", "fast-switch", "session"
    ] = ""
    """The protocol's way of taking inventory; absent: its default. yrm100: multi, single; thingmagic: stream;
    uhfreader18: answer, push; r2000: real-time, fast-switch, session."""
    address: Annotated[int, Meta(ge=-1, le=255)] = -1
    """The module's bus address where the protocol has one; -1: its default."""

    def __post_init__(self) -> None:
        if not self.baud:
            msgspec.structs.force_setattr(self, "baud", USUAL_BAUD.get(self.protocol, 115200))


class BasketSection(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a gate with a reader closes a burst of tags (a portal decides better: ``[portal]``)."""

    quiet_s: Annotated[float, Meta(ge=0.2, le=10)] = 1.0
    """No new tag for so long ends the burst, s (a fixed quiet time: the basket is provisional)."""


class DisplaySection(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The shopper's screen."""

    driver: Literal["none", "png", "framebuffer"] = "none"
    """``none``: lamp and buzzer only."""
    path: Line = "/dev/fb0"
    """png: the file; framebuffer: the device."""


class AdmissionSection(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the gate does when it cannot be sure."""

    on_disk_fault: Literal["refuse", "admit-in-memory"] = "refuse"
    """When the admission cannot be written: refuse, or admit, flag and alarm."""
    on_unsynced_clock: Literal["refuse", "accept-flagged"] = "refuse"
    """When the wall clock is not synchronised: refuse passes, or accept, flag and alarm."""
    moment_s: Short = 0.15
    """The disk takes longer than this: the shopper reads "one moment", s."""
    give_up_s: Annotated[float, Meta(ge=0.1, le=10)] = 0.5
    """The disk takes longer than this: it counts as a fault, s."""


class LinkSection(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How records reach the shop."""

    receipt: Literal["store", "broker"] = "store"
    """``store``: a record is settled by the store's own receipt. ``broker``: by PUBACK (broker
    kills lost 1,235 of 3,256 such records when measured)."""
    keepalive_s: Annotated[int, Meta(ge=5, le=600)] = 30
    """MQTT keep-alive, s."""
    puback_s: Annotated[float, Meta(ge=1, le=60)] = 5.0
    """No PUBACK for so long: reconnect, s."""
    heartbeat_s: Annotated[float, Meta(ge=1, le=300)] = 20.0
    """State and health are sent every so often, s."""


class JournalSection(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bounds of the journal."""

    limit_rows: Annotated[int, Meta(ge=1000, le=5_000_000)] = 200_000
    """At most so many unsettled records."""
    keep_days: Annotated[float, Meta(ge=0, le=60)] = 7.0
    """Settled records are kept so long, days (a store restored from a backup asks for them)."""


class SimSection(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Simulated boards only."""

    control: Line = "world.sock"
    """Unix socket that moves the simulated world, in the data folder."""
    scene: Line = "scene.pgm"
    """The picture before the simulated camera, in the data folder."""
    inbox: Line | None = None
    """Folder: a picture dropped here is held to the simulated camera."""
    clock: Literal["declared", "unsynced"] = "declared"
    """Quality that the simulated wall clock declares."""
    leaf_s: Annotated[float, Meta(ge=0.1, le=10)] = 0.8
    """Time of the simulated leaf from closed to open, s."""


class TraceSection(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Recording of everything that reaches policy."""

    enabled: bool = False
    """Write a trace into the data folder."""
    limit_mb: Annotated[float, Meta(ge=0.1, le=1000)] = 8.0
    """The ring of trace files keeps at most so much, MB."""


class Board(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole board file."""

    board: BoardSection
    pins: PinsSection = PinsSection(factory="none")
    gate: GateSection = msgspec.field(default_factory=GateSection)
    camera: CameraSection | None = None
    decoder: DecoderSection = msgspec.field(default_factory=DecoderSection)
    scanner: ScannerSection | None = None
    reader: ReaderSection | None = None
    portal: PortalSection = msgspec.field(default_factory=PortalSection)
    pricepoint: PricepointSection = msgspec.field(default_factory=PricepointSection)
    basket: BasketSection = msgspec.field(default_factory=BasketSection)
    display: DisplaySection = msgspec.field(default_factory=DisplaySection)
    admission: AdmissionSection = msgspec.field(default_factory=AdmissionSection)
    link: LinkSection = msgspec.field(default_factory=LinkSection)
    journal: JournalSection = msgspec.field(default_factory=JournalSection)
    sim: SimSection | None = None
    trace: TraceSection = msgspec.field(default_factory=TraceSection)


class Broker(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the broker is, and with which files to prove who we are."""

    host: Line = "127.0.0.1"
    """Name or address."""
    port: Annotated[int, Meta(ge=1, le=65535)] = 8883
    """TCP port."""
    ca: Line | None = None
    """CA certificate file; absent: plain TCP, only to a loopback host."""
    cert: Line | None = None
    """The board's certificate file."""
    key: Line | None = None
    """The board's key file."""


class Site(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A site file: which board this is. Public keys only; secrets stay in the files it names."""

    store: Id
    """The shop's id."""
    board: Id
    """This board's id (= client id = certificate name)."""
    data: Line = "/var/lib/tallygate"
    """Folder for journal and documents; must be persistent."""
    broker: Broker = msgspec.field(default_factory=Broker)
    pass_keys: dict[str, Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]]
    """Key id (1..255) to Ed25519 public key, hex."""
