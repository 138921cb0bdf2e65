"""``tallygate watch``: a live table of a shop's boards, from their ``state`` and ``health`` messages alone.

Only listens; needs no more rights than any monitor. paho's thread only posts into a queue.
"""

from __future__ import annotations

import json
import os
import queue
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import paho.mqtt.client as mqtt
import typer
from paho.mqtt.enums import CallbackAPIVersion
from rich.console import Console
from rich.live import Live
from rich.table import Table

from firmware.wire.topics import StoreTopics, parse
from provisioning.trouble import BAD_INPUT, FAILED, Trouble

REDRAW_S = 0.5
SILENT_S = 60.0
"""A board whose health is older than this is shown as silent (boards send every 20 s by default)."""


@dataclass
class BoardRow:
    """What one board last said. ``heard_at``: monotonic seconds of its last health message."""

    state: dict[str, Any] = field(default_factory=dict)
    health: dict[str, Any] = field(default_factory=dict)
    heard_at: float | None = None


def take(rows: dict[str, BoardRow], topic: str, payload: bytes, now: float) -> None:
    """Sort one message into ``rows`` by board. Anything that is no state or health is ignored."""
    parsed = parse(topic)
    if parsed is None or parsed.kind not in ("state", "health"):
        return
    try:
        said = json.loads(payload) if payload else {}
    except ValueError:
        said = {"state": "unreadable message"}
    if not isinstance(said, dict):
        return
    row = rows.setdefault(parsed.board, BoardRow())
    if parsed.kind == "state":
        row.state = said
    else:
        row.health, row.heard_at = said, now


def table(store: str, rows: dict[str, BoardRow], now: float) -> Table:
    """The boards of ``store`` as a table, by name."""
    out = Table(title=f"Boards of {store}", title_justify="left")
    for name in ("board", "link", "state", "since its start", "queued", "last visit", "fault: what to check"):
        out.add_column(name, overflow="fold")
    for board in sorted(rows):
        row = rows[board]
        out.add_row(board, _link(row, now), *_words(row))
    return out


def _link(row: BoardRow, now: float) -> str:
    if row.state.get("online") is not True:
        return "[bold red]lost[/bold red]"
    if row.heard_at is not None and now - row.heard_at > SILENT_S:
        return f"[yellow]silent {now - row.heard_at:.0f} s[/yellow]"
    return "[green]up[/green]"


WORK: dict[str, tuple[tuple[str, str], ...]] = {
    "gate": (("admitted", "admitted"), ("refused", "refused"), ("tailgates", "tailgates")),
    "portal": (
        ("baskets", "baskets"),
        ("paid", "paid"),
        ("declined", "declined"),
        ("abandoned", "abandoned"),
    ),
    "pricepoint": (("price_shown", "prices shown"), ("prices_items", "goods listed")),
}
"""What a board of a role has done: names in ``health`` and words. The first is shown also at 0."""


def _work(row: BoardRow) -> str:
    """Health says it by its names: of an older program that does not name its role as well."""
    role = row.state.get("role")
    figures = WORK.get(role if isinstance(role, str) else "", WORK["gate"])
    told = []
    for name, words in figures:
        value = row.health.get(name)
        if isinstance(value, int | float) and (value or name == figures[0][0]):
            told.append(f"{value:g} {words}")
    return ", ".join(told) or "-"


def _words(row: BoardRow) -> tuple[str, str, str, str, str]:
    queued = row.health.get("queued")
    age = row.health.get("queue_age_s")
    text = "?" if queued is None else str(queued)
    if queued and isinstance(age, int | float) and age >= 1:
        text += f" (oldest {age:.0f} s)"
    faults = row.state.get("faults")
    told = [_fault(fault) for fault in faults] if isinstance(faults, list) else []
    return (
        _plain(row.state.get("state", "?")),
        _work(row),
        text,
        _plain(row.state.get("last_visit") or "-"),
        "\n".join(told) or "-",
    )


def _fault(fault: object) -> str:
    if not isinstance(fault, dict):
        return _plain(fault)
    return (
        f"[red]{_plain(fault.get('part'))}[/red]: {_plain(fault.get('reason'))}: {_plain(fault.get('check'))}"
    )


def _plain(value: object) -> str:
    """Words from the wire, never read as markup."""
    return str(value).replace("[", "(").replace("]", ")")[:200]


def watch(
    store: Annotated[str, typer.Option("--store", help="The shop's id.")] = "demo",
    broker: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="The broker; that of an open make run where left out."),
    ] = None,
    ca: Annotated[
        Path | None, typer.Option(help="CA of the broker's certificate (PEM); turns TLS on.")
    ] = None,
    cert: Annotated[Path | None, typer.Option(help="Your certificate (PEM).")] = None,
    key: Annotated[Path | None, typer.Option(help="Its private key (PEM).")] = None,
    once: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Listen so long, print the table once and end.")
    ] = None,
) -> None:
    """Show a live table of boards.

    Link, state, what it has done since its start (a gate's admissions, a portal's baskets, the prices a price
    point showed), records queued, last visit, faults with what to check. Ends with Ctrl-C.

    Example: tallygate watch --store demo --broker 127.0.0.1:1883
    """
    host, port = _address(broker)
    inbox: queue.SimpleQueue[tuple[str, bytes]] = queue.SimpleQueue()
    client = _connect(store, host, port, (ca, cert, key), inbox)
    rows: dict[str, BoardRow] = {}
    try:
        if once is not None:
            _drain(inbox, rows, time.monotonic() + once)
            Console(width=None if os.isatty(1) else 120).print(table(store, rows, time.monotonic()))
            if not rows:
                raise Trouble(
                    f"no board of {store} was heard in {once:g} s; check --store and the boards", FAILED
                )
            return
        with Live(table(store, rows, 0.0), auto_refresh=False) as live:
            while True:
                _drain(inbox, rows, time.monotonic() + REDRAW_S)
                live.update(table(store, rows, time.monotonic()), refresh=True)
    finally:
        client.disconnect()
        client.loop_stop()


def _drain(inbox: queue.SimpleQueue[tuple[str, bytes]], rows: dict[str, BoardRow], until: float) -> None:
    while (left := until - time.monotonic()) > 0:
        try:
            topic, payload = inbox.get(timeout=left)
        except queue.Empty:
            return
        take(rows, topic, payload, time.monotonic())


def _address(broker: str | None) -> tuple[str, int]:
    if broker is None:
        site = Path("build/run/site.toml")
        if not site.is_file():
            raise Trouble(
                "say which broker: --broker HOST:PORT (or start make run in this folder)", BAD_INPUT
            )
        import tomllib

        found = tomllib.loads(site.read_text(encoding="utf-8"))["broker"]
        return str(found["host"]), int(found["port"])
    host, colon, port = broker.rpartition(":")
    if not colon or not host or not port.isdigit() or not 1 <= int(port) <= 65535:
        raise Trouble(f"--broker {broker}: write HOST:PORT, for instance 127.0.0.1:1883", BAD_INPUT)
    return host.strip("[]"), int(port)


def _connect(
    store: str,
    host: str,
    port: int,
    tls: tuple[Path | None, Path | None, Path | None],
    inbox: queue.SimpleQueue[tuple[str, bytes]],
) -> mqtt.Client:
    try:
        topics = StoreTopics(store)
    except ValueError as error:
        raise Trouble(f"--store: {error}", BAD_INPUT) from None
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    ca, cert, key = (None if path is None else str(path) for path in tls)
    if ca is not None:
        try:
            client.tls_set(ca_certs=ca, certfile=cert, keyfile=key)
        except (OSError, ValueError) as error:
            raise Trouble(
                f"the certificate files cannot be used: {error}; check --ca, --cert, --key", BAD_INPUT
            )

    def on_connect(connected: mqtt.Client, *_: Any) -> None:
        connected.subscribe([(topics.every("state"), 1), (topics.every("health"), 0)])

    def on_message(_client: mqtt.Client, _userdata: Any, message: mqtt.MQTTMessage) -> None:
        inbox.put((message.topic, bytes(message.payload)))

    client.on_connect = on_connect
    client.on_message = on_message
    try:
        client.connect(host, port, keepalive=30)
    except OSError as error:
        raise Trouble(f"the broker {host}:{port} cannot be reached: {error}; check address and network")
    client.loop_start()
    return client
