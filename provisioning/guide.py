"""What you see in ``make run``: waits for the parts to be up, leads the tour, then leaves the door to you.

Started by the launcher as a process of its own; it talks to broker, world and ledger from outside only.
"""

from __future__ import annotations

if __name__ == "__main__":  # before everything else: importing the rest takes a moment
    from provisioning import ctrl_c

    ctrl_c.ends_at_once()

import argparse
import re
import signal
import sys
import time
from functools import partial
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console

from provisioning import keys, rundir
from provisioning.ctrl_c import raises_again
from provisioning.goods_tour import GoodsTour
from provisioning.ledger_view import LedgerView
from provisioning.listener import Listener
from provisioning.tour import Tour
from provisioning.tour_script import Issuer, steps
from provisioning.trouble import FAILED, Trouble, in_words
from provisioning.visitor import Visitor
from provisioning.world_client import WorldClient

UP_S = 60.0
"""Everything must answer after so long (a slow card, a cold cache)."""
PAUSE_S = 2.0
"""Time for reading between two steps of the tour."""
AFTER_FIRE_S = 60.0
PRICES = Path(__file__).resolve().parent.parent / "store" / "demo_prices.csv"


def main(arguments: list[str] | None = None) -> int:
    """0: everything agreed, or Ctrl-C (130 while starting). 1: something did not."""
    args = _parser().parse_args(arguments)
    width = None if sys.stdout.isatty() and args.picture is None else 108
    console = Console(highlight=False, width=width, record=args.picture is not None)
    try:
        raises_again()
        return _guide(args, console)
    except Trouble as error:
        print(f"make run: {error}", file=sys.stderr)
        return FAILED
    except OSError as error:
        print(f"make run: {in_words(error)}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second one has nothing left to end
        print()
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m provisioning.guide", description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="the run's folder")
    parser.add_argument("--port", type=int, required=True, help="the broker's port")
    parser.add_argument("--user", required=True, help="a user name that may read records")
    parser.add_argument("--inbox", type=Path, required=True)
    parser.add_argument("--camera")
    parser.add_argument("--tour-only", action="store_true")
    parser.add_argument("--no-tour", action="store_true")
    parser.add_argument("--brisk", action="store_true")
    parser.add_argument("--no-portal", action="store_true")
    parser.add_argument("--picture", type=Path, help="save what the tour printed as an SVG")
    return parser


def _guide(args: argparse.Namespace, console: Console) -> int:
    began = time.monotonic()
    deadline = began + UP_S
    data = args.root / "board"
    issuer = Issuer(*keys.load(args.root / "keys"), keys.load(args.root / "foreign-keys")[1], rundir.STORE)
    extras = () if args.no_portal else (rundir.PORTAL, rundir.PRICE)
    listener = Listener(args.port, args.user, rundir.STORE, rundir.BOARD, *extras)
    world = WorldClient(data / "world.sock")
    try:
        if listener.wait_for(lambda: listener.store_online, deadline) is None:
            raise Trouble(f"the store did not come up in {UP_S:g} s; see {args.root}/log/store.log")
        _say(began, "the store is up, its ledger is open")
        world.wait_until_up(deadline)
        if listener.wait_for(lambda: listener.state.get("online") is True, deadline) is None:
            raise Trouble(f"the board did not come up in {UP_S:g} s; see {args.root}/log/board.log")
        _wait_until_ready(listener, world, deadline)
        _say(began, "the gate is closed, locked and ready")
        for name in extras:
            if listener.wait_for(partial(_serves, listener, name), deadline) is None:
                said = listener.states[name]
                raise Trouble(f"{name} did not come up in {UP_S:g} s ({said}); see log/{name}.log")
            _say(began, f"{name} is ready")
        equal = True
        if args.camera:
            console.print(
                "The tour needs the simulated camera and is left out: your webcam is the gate's eye."
            )
        elif not args.no_tour:
            equal = _tour(args, console, listener, world, issuer)
        if args.tour_only:
            return 0 if equal else FAILED
        if not args.no_tour and not args.camera:
            console.print("After a fire the gate waits half a minute before it closes; then it is yours.")
        _wait_until_ready(listener, world, time.monotonic() + AFTER_FIRE_S)
        inbox, pass_file = args.inbox, args.root / "pass.png"
        Visitor(console, world, listener, issuer, inbox, pass_file, args.camera).run()
        return 0
    finally:
        world.close()
        listener.close()


def _tour(
    args: argparse.Namespace, console: Console, listener: Listener, world: WorldClient, issuer: Issuer
) -> bool:
    while listener.next(0.2) is not None:
        pass  # what the board wrote when it started is not part of the tour
    console.print("\n[bold]A tour of the shop[/bold] (→ what happens at a board, ← what it records)\n")
    tour = Tour(console, world, listener, args.root / "code.pgm", 0.0 if args.brisk else PAUSE_S)
    has_reader = "reader" in world.ask(status=True)
    goods = None if args.no_portal else _goods(args, tour, issuer)
    if goods is not None:
        goods.prepare()
    for step in steps(issuer):
        if step.fire and goods is not None:
            goods.perform()
        if (step.brisk or not args.brisk) and (has_reader or not step.tags):
            tour.perform(step)
    if goods is not None:
        goods.close()
    ledger = LedgerView(args.root / "store" / "ledger.sqlite")
    try:
        equal = tour.compare(ledger)
    finally:
        ledger.close()
    console.print()
    console.print(tour.table())
    console.print(tour.summary(), soft_wrap=True)
    console.print()
    if args.picture is not None:
        _save_picture(console, args.picture)
    return equal


def _goods(args: argparse.Namespace, tour: Tour, issuer: Issuer) -> GoodsTour:
    portal = WorldClient(args.root / "portal" / "world.sock")
    price = WorldClient(args.root / "price" / "world.sock")
    return GoodsTour(tour, portal, price, issuer, PRICES, args.root / "portal" / "code.pgm")


def _serves(listener: Listener, name: str) -> bool:
    state = listener.states[name]
    return state.get("online") is True and state.get("state") == "idle" and not state.get("faults")


def _save_picture(console: Console, path: Path) -> None:
    """What was printed, as an SVG that loads nothing from anywhere."""
    plain = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    plain = plain.replace("Fira Code,", "Menlo, Consolas, DejaVu Sans Mono,")
    path.write_text(console.export_svg(title="make run", code_format=plain, clear=False), encoding="utf-8")


def _wait_until_ready(listener: Listener, world: WorldClient, deadline: float) -> None:
    """Until the leaf is closed, nobody is in the lane and the lock holds. Raises Trouble at ``deadline``."""

    def ready() -> bool:
        lane = world.ask(status=True)["lane"]
        locked = not lane["outputs"].get("release", False)
        return bool(lane["inputs"]["leaf"]) and not lane["people"] and not lane["moving"] and locked

    if listener.wait_for(ready, deadline) is None:
        lane = world.ask(status=True)["lane"]
        raise Trouble(
            "the gate did not come to rest (leaf closed, nobody in the lane, lock holding): "
            f"state {listener.state.get('state')}, leaf {lane['leaf']}, inputs {lane['inputs']}, "
            f"outputs {lane['outputs']}, {len(lane['people'])} people; see board.log"
        )


def _say(began: float, text: str) -> None:
    print(f"[{time.monotonic() - began:5.1f} s] {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
