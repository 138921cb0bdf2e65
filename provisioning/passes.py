"""``tallygate pass``: make test keys, issue passes, look into one. Never used by a board."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from firmware.wire.issue import Issued, issue, new_seed, new_visit_id
from firmware.wire.passes import KINDS, MAX_VALID_S, STEP_S, Pass, PassError, decode, store_tag, verify
from firmware.wire.refusals import REASONS, Refusal
from provisioning import keys as keyring
from provisioning import qr
from provisioning.trouble import BAD_INPUT, FAILED, Trouble

app = typer.Typer(
    help="Make test keys, issue passes and look into one.\n\n"
    "Example: tallygate pass keys build/keys && tallygate pass issue --keys build/keys --qr",
    no_args_is_help=True,
    rich_markup_mode=None,
)
KeysDir = Annotated[Path, typer.Option("--keys", metavar="DIR", help="Folder with pass-<id>.pem and .pub.")]
StoreId = Annotated[str, typer.Option("--store", help="The shop's id.")]
_UNITS = {"s": 1, "m": 60, "h": 3600}


def duration_s(text: str) -> int:
    """Seconds of "90s", "30m", "2h" or plain seconds. Raises Trouble outside 1 s..2 h."""
    match = re.fullmatch(r"([0-9]{1,5})([smh]?)", text.strip())
    seconds = int(match[1]) * _UNITS[match[2] or "s"] if match else 0
    if not 1 <= seconds <= MAX_VALID_S:
        raise Trouble(f'"{text}" is no validity: write 90s, 30m or 2h, at most 2h', BAD_INPUT)
    return seconds


@app.command("keys")
def make_keys(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Made with mode 0700 where it is missing.")],
    key_id: Annotated[int, typer.Option("--id", help="Key id, 1 to 255; a shop rotates them.")] = 1,
) -> None:
    """Make an Ed25519 key pair for tests and demonstrations. The private key is never printed.

    Example: tallygate pass keys build/keys
    """
    private = keyring.make(folder, key_id)
    typer.echo(f"{folder}/pass-{key_id}.pem signs and stays here (mode 0600); for site.toml:")
    typer.echo(f'pass_keys = {{ {key_id} = "{keyring.public_hex(private)}" }}')


@app.command("issue")
def issue_command(
    keys: KeysDir = Path("build/run/keys"),
    store: StoreId = "demo",
    kind: Annotated[str, typer.Option(help="entry, exit, staff or technician.")] = "entry",
    party: Annotated[int, typer.Option(help="How many people may pass, 1 to 15.")] = 1,
    valid: Annotated[str, typer.Option(help="How long: 90s, 30m, 2h (at most).")] = "30m",
    campaign: Annotated[int, typer.Option(help="Campaign number of the poster, 0 = none.")] = 0,
    placement: Annotated[int, typer.Option(help="Placement number of the poster, 0 = none.")] = 0,
    settled: Annotated[bool, typer.Option("--settled", help="The visit is paid (exit passes).")] = False,
    key_id: Annotated[
        int | None, typer.Option("--key-id", help="Which key signs; the newest where left out.")
    ] = None,
    png: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw the code into a PNG file.")] = None,
    show: Annotated[bool, typer.Option("--qr", help="Draw the code in the terminal.")] = False,
    follow: Annotated[
        bool, typer.Option("--follow", help="Keep drawing the current code, as a phone does, until Ctrl-C.")
    ] = False,
) -> None:
    """Issue a pass and show its current code. The code changes every 30 s and is refused a step later.

    Example: tallygate pass issue --store demo --party 1 --valid 30m --keys build/run/keys --png pass.png
    """
    signing_id, private = keyring.load(keys, key_id)
    if kind not in KINDS:
        raise Trouble(f'--kind "{kind}" is not one of {", ".join(KINDS)}', BAD_INPUT)
    _check_store(store)
    try:
        issued = issue(
            private,
            key_id=signing_id,
            store_id=store,
            visit=new_visit_id(os.urandom),
            issued_at=int(time.time()),
            valid_for=duration_s(valid),
            seed=new_seed(os.urandom),
            kind=kind,
            party=party,
            campaign=campaign,
            placement=placement,
            settled=settled,
        )
    except ValueError as error:
        raise Trouble(str(error), BAD_INPUT) from None
    _show(issued, png, show)
    while follow:
        now = time.time()
        due = next((step for step in issued.steps() if step > now), None)
        if due is None:
            break
        time.sleep(due - now)
        _show(issued, png, show)


def _show(issued: Issued, png: Path | None, show: bool) -> None:
    text = issued.shown_at(time.time())
    if png is not None:
        try:
            qr.save_png(text, png)
        except OSError as error:
            raise Trouble(f"{png} cannot be written: {error.strerror}", BAD_INPUT) from None
    if show:
        print(qr.terminal(text))
    if png is None and not show:
        print(text)
    where = f" in {png}" if png else ""
    fields = issued.fields
    print(
        f"visit {fields.visit.hex()}, {fields.kind}, party of {fields.party}, "
        f"until {_clock(fields.expires_at)}; this code{where} is good for {STEP_S} to {2 * STEP_S} s",
        file=sys.stderr,
    )


@app.command()
def inspect(
    what: Annotated[
        str, typer.Argument(metavar="CODE|PICTURE|-", help="Its text, a picture, or - for stdin.")
    ],
    store: StoreId = "demo",
    keys: Annotated[
        Path | None, typer.Option("--keys", metavar="DIR", help="Folder with pass-<id>.pub, to verify.")
    ] = None,
) -> None:
    """Show the fields of a pass as JSON, and with --keys whether a gate would take it. Exit code 1 if not.

    The rotating part is never printed.

    Example: tallygate pass inspect pass.png --keys build/run/keys
    """
    data = _code_in(what)
    try:
        fields, _, _ = decode(data)
    except PassError as error:
        raise Trouble(f"this is not a readable pass: {error}", FAILED) from None
    answer = _fields(fields, store)
    accepted = True
    if keys is not None:
        public = keyring.public_keys(keys)
        if not public:
            raise Trouble(f"no public key (pass-<id>.pub) in {keys}", BAD_INPUT)
        verdict = verify(data, store_id=store, keys=public, now_s=time.time())
        accepted = not isinstance(verdict, Refusal)
        answer["verdict"] = verdict.reason if isinstance(verdict, Refusal) else "good"
        if isinstance(verdict, Refusal):
            answer["hint"] = REASONS[verdict.reason].hint
    typer.echo(json.dumps(answer, indent=2))
    if not accepted:
        raise typer.Exit(FAILED)


def _fields(fields: Pass, store: str) -> dict[str, object]:
    return {
        "kind": fields.kind,
        "party": fields.party,
        "visit": fields.visit.hex(),
        "store": store if fields.store_tag == store_tag(store) else f"another (tag {fields.store_tag.hex()})",
        "key_id": fields.key_id,
        "campaign": fields.campaign,
        "placement": fields.placement,
        "settled": fields.settled,
        "issued_at": _clock(fields.issued_at),
        "expires_at": _clock(fields.expires_at),
    }


def _code_in(what: str) -> bytes:
    if what == "-":
        return sys.stdin.buffer.readline(4096).rstrip(b"\r\n")
    if what.startswith("TG1:"):
        return what.encode("utf-8", "replace")
    path = Path(what)
    if not what.strip():
        raise Trouble("nothing is named: give a code (TG1:...), a picture or - for stdin", BAD_INPUT)
    if not path.is_file():
        raise Trouble(f'"{what}" is neither a code (TG1:...) nor a file', BAD_INPUT)
    from hal.camera.pictures import PictureError
    from provisioning.scan import codes_in

    try:
        found = [code for code in codes_in(path) if code.startswith(b"TG1:")]
    except PictureError as error:
        raise Trouble(f"{path} cannot be read: {error}", FAILED) from None
    if len(found) != 1:
        raise Trouble(f"{path} shows {len(found)} passes, exactly one is needed", FAILED)
    return found[0]


def _check_store(store: str) -> None:
    if not re.fullmatch(r"[a-z0-9-]{1,32}", store):
        raise Trouble(f'--store "{store}" is no shop id: a to z, 0 to 9 and -, at most 32', BAD_INPUT)


def _clock(unix_s: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(unix_s))
