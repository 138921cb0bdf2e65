"""``make run``: a whole shop on this machine, started process by process, ended by Ctrl-C.

Broker, store and the simulated boards (gate, portal, price point) are children with a log file each; then
the guide (the tour, then the door is yours) runs in this terminal. Imports neither the board's program nor
the store's: it only starts them. No child is left running, however this process ends.
"""

from __future__ import annotations

if __name__ == "__main__":  # before everything else: importing the rest takes a moment
    from provisioning import ctrl_c

    ctrl_c.ends_at_once()

import argparse
import importlib.util
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

from provisioning import broker_bin, rundir
from provisioning.children import Child, end_all
from provisioning.ctrl_c import raises_again
from provisioning.rundir import RunDir
from provisioning.trouble import BAD_INPUT, FAILED, Trouble, in_words

TREE = Path(__file__).resolve().parent.parent
BROKER_READY_S = 10.0
PRICES = TREE / "store" / "demo_prices.csv"
BRISK = {"gate": {"pass_s": 2.5}, "admission": {"give_up_s": 5.0}}
"""Times of the short tour, for tests on a busy machine: nobody waits long for somebody who does not come,
and a disk that is slow for a moment counts as no fault."""
GUIDE_USER = "guide"
STORE_USER = "store"


class _End(Exception):
    """A signal asked us to end."""


def main(arguments: list[str] | None = None) -> int:
    """0 after a good tour or Ctrl-C (130 while this program starts), 1 when something failed or did not
    agree, 2 for a bad argument or board file, or a disk without room."""
    args = _parser().parse_args(arguments)
    children: list[Child] = []
    run: RunDir | None = None
    try:
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _on_signal)
        raises_again()
        began = time.monotonic()
        if args.camera:
            _check_camera(args.camera)
        _say(began, "broker: looking for mosquitto")
        broker = broker_bin.ensure()
        run = rundir.fresh(args.folder)
        port = _free_port()
        changes = BRISK if args.brisk else None
        rundir.write_files(run, args.board or _default_board(), port, args.inbox, args.camera, changes)
        _say(began, f"broker: starting on 127.0.0.1:{port} (everything of this run is in {_short(run.root)})")
        _start_broker(run, broker, port, children)
        _say(began, "shop: starting the store and its ledger, with a price list")
        _take_prices(run)
        children.append(_python("store", run, _store_command(run, port)))
        _say(began, f"gate: starting the board {rundir.BOARD} ({_short(run.board_file)})")
        children.append(_python("board", run, ["firmware", "run", str(run.board_file)]))
        extras = {} if args.no_portal else {rundir.PORTAL: "sim-portal", rundir.PRICE: "sim-pricepoint"}
        for name, file in extras.items():
            path = rundir.write_extra(run, name, TREE / "boards" / f"{file}.toml", port)
            _say(began, f"{name}: starting the board ({_short(path)})")
            children.append(_python(name, run, ["firmware", "run", str(path)]))
        guide = Child("guide", _guide_command(args, run, port), log=None, cwd=TREE)
        children.append(guide)
        return _watch(guide, children)
    except (KeyboardInterrupt, _End):
        return 0
    except (Trouble, broker_bin.BrokerMissing) as error:
        print(f"make run: {error}", file=sys.stderr)
        return error.code if isinstance(error, Trouble) else FAILED
    except OSError as error:
        print(f"make run: {in_words(error)}", file=sys.stderr)
        return FAILED
    finally:
        _finish(children, run)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m provisioning.launcher",
        description="Run a shop on this machine: broker, store, simulated gate, portal, price point; a tour.",
        epilog="Example: make run CAMERA=/dev/video0",
    )
    parser.add_argument(
        "--camera", metavar="DEVICE", help="a webcam such as /dev/video0 instead of the simulated one"
    )
    parser.add_argument(
        "--board", type=Path, help="the board file to start from (default: boards/sim-entry.toml)"
    )
    parser.add_argument("--folder", type=Path, default=TREE / "build" / "run", help="made new at every start")
    parser.add_argument("--inbox", type=Path, default=TREE / "inbox", help="pictures dropped here are shown")
    parser.add_argument(
        "--no-portal", action="store_true", help="the gate alone, without portal and price point"
    )
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument(
        "--tour-only", action="store_true", help="end after the tour; exit code 1 if it does not agree"
    )
    kind.add_argument("--no-tour", action="store_true", help="open the door for you at once")
    parser.add_argument("--brisk", action="store_true", help="a shorter tour without pauses for reading")
    parser.add_argument(
        "--picture", type=Path, metavar="FILE", help="save the tour as an SVG (for the README)"
    )
    return parser


def _default_board() -> Path:
    name = "sim-entry.toml"
    if importlib.util.find_spec("zbar") is None:
        name = "sim-entry-zxing.toml"
        print("zbar-py is not installed: the board decodes with zxing alone (boards/sim-entry-zxing.toml).")
    return TREE / "boards" / name


def _check_camera(device: str) -> None:
    try:
        mode = Path(device).stat().st_mode
    except OSError as error:
        raise Trouble(f"CAMERA={device}: {error.strerror}; see  ls /dev/video*", BAD_INPUT) from None
    if not stat.S_ISCHR(mode):
        raise Trouble(f"CAMERA={device} is not a device; see  ls /dev/video*", BAD_INPUT)
    if not os.access(device, os.R_OK | os.W_OK):
        raise Trouble(
            f"CAMERA={device} may not be opened; join the group video: sudo usermod -aG video $USER",
            BAD_INPUT,
        )


def _start_broker(run: RunDir, broker: broker_bin.BrokerProgram, port: int, children: list[Child]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "provisioning.broker_config", "--store", rundir.STORE, "--port", str(port)]
        + ["--folder", str(run.broker_config.parent), "--store-user", STORE_USER, "--store-user", GUIDE_USER],
        cwd=TREE,
        capture_output=True,
        text=True,
        timeout=60,
    )
    if done.returncode != 0:
        raise Trouble(done.stderr.strip() or "the broker's configuration could not be written")
    log = run.logs / "broker.log"
    child = Child("broker", [broker.path, "-c", str(run.broker_config)], log=log, env=broker.environment())
    children.append(child)
    deadline = time.monotonic() + BROKER_READY_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
            return
        except OSError:
            if child.ended() is not None or time.monotonic() > deadline:
                raise Trouble(f"the broker did not start; {_log_of(child)}") from None
            time.sleep(0.02)


def _take_prices(run: RunDir) -> None:
    ledger = f"sqlite:///{run.ledger}"
    for command in (["init", "--db", ledger], ["prices", "import", str(PRICES), "--db", ledger]):
        done = subprocess.run(
            [sys.executable, "-m", "store", *command], cwd=TREE, capture_output=True, text=True, timeout=60
        )
        if done.returncode != 0:
            raise Trouble(done.stderr.strip() or "the price list could not be taken")


def _python(name: str, run: RunDir, module_and_arguments: list[str]) -> Child:
    argv = [sys.executable, "-m", *module_and_arguments]
    env = {**os.environ, "PYTHONUNBUFFERED": "1"}
    return Child(name, argv, log=run.logs / f"{name}.log", env=env, cwd=TREE)


def _store_command(run: RunDir, port: int) -> list[str]:
    where = ["--store-id", rundir.STORE, "--db", f"sqlite:///{run.ledger}"]
    return ["store", "run", *where, "--broker", f"127.0.0.1:{port}", "--user", STORE_USER]


def _guide_command(args: argparse.Namespace, run: RunDir, port: int) -> list[str]:
    command = [sys.executable, "-m", "provisioning.guide", "--root", str(run.root), "--port", str(port)]
    command += ["--user", GUIDE_USER, "--inbox", str(args.inbox.absolute())]
    if args.camera:
        command += ["--camera", args.camera]
    if args.picture:
        command += ["--picture", str(args.picture.absolute())]
    for flag in ("tour_only", "no_tour", "brisk", "no_portal"):
        if getattr(args, flag):
            command.append("--" + flag.replace("_", "-"))
    return command


def _watch(guide: Child, children: list[Child]) -> int:
    """Wait for the guide; a part that ends before it is told with the end of its log."""
    while True:
        code = guide.ended()
        if code is not None:
            return code if code >= 0 else FAILED
        for child in children:
            ended = child.ended()
            if child is not guide and ended is not None:
                code = BAD_INPUT if child.name == "board" and ended == BAD_INPUT else FAILED
                raise Trouble(f"the {child.name} ended ({_how(ended)}); {_log_of(child)}", code)
        time.sleep(0.1)


def _finish(children: list[Child], run: RunDir | None) -> None:
    # a second Ctrl-C must not leave children behind
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    killed = end_all(children)
    if killed:
        print(f"Had to be killed: {', '.join(killed)}.", file=sys.stderr)
    if run is not None:
        if children and not run.temporary:
            print(f"Ended. Logs and the ledger of this run stay in {_short(run.root)} until the next one.")
        run.remove_if_temporary()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _log_of(child: Child) -> str:
    lines = child.last_lines()
    if not lines:
        return f"its log {_short(child.log)} is empty; check that the disk is not full (df -h)"
    return f"its log {_short(child.log)} ends with\n{lines}"


def _how(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"


def _short(path: Path | None) -> str:
    if path is None:
        return "?"
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _say(began: float, text: str) -> None:
    print(f"[{time.monotonic() - began:5.1f} s] {text}", flush=True)


def _on_signal(_number: int, _frame: FrameType | None) -> None:
    raise _End


if __name__ == "__main__":
    sys.exit(main())
