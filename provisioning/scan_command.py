"""``tallygate scan``: every code in picture files, one JSON line each. Shows nothing to a gate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from provisioning import keys as keyring
from provisioning.trouble import BAD_INPUT, FAILED, Trouble


def scan(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Pictures (PNG, JPEG, PGM ...).")],
    store: Annotated[str, typer.Option("--store", help="The shop's id.")] = "demo",
    keys: Annotated[
        Path | None,
        typer.Option("--keys", metavar="DIR", help="Folder with pass-<id>.pub, to verify passes."),
    ] = None,
) -> None:
    """Read every code in pictures.

    Prints one JSON line per picture: {"file", "ms", "codes": [{"text", "kind", "verdict"}]}; kind is pass,
    paycode, url or other. Exit code 1 when a picture cannot be read.

    Example: tallygate scan photo.jpg --keys build/run/keys
    """
    from provisioning.scan import scan_files

    public = None if keys is None else keyring.public_keys(keys)
    if public == {}:
        raise Trouble(f"no public key (pass-<id>.pub) in {keys}", BAD_INPUT)
    unread = 0
    for answer in scan_files(files, store=store, keys=public):
        unread += "error" in answer
        typer.echo(json.dumps(answer, ensure_ascii=False))
    if unread:
        raise Trouble(f'{unread} of {len(files)} pictures could not be read; see "error" above', FAILED)
