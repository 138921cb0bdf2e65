"""Writes ``docs/boards.md``, the reference of board and site files, from the schema itself.

``python -m provisioning.board_reference`` rewrites the page; ``--check`` (and a test) only compares.
"""

from __future__ import annotations

import ast
import inspect
import sys
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, Struct

from firmware import boardschema, portalschema
from firmware.boardschema import Board, Site
from provisioning.generated_page import write_or_check_texts

PAGE = Path(__file__).parents[1] / "docs" / "boards.md"
COMMAND = "python -m provisioning.board_reference"


def page() -> str:
    """The whole page, as it must stand in ``docs/boards.md``."""
    notes = _notes()
    parts = [
        "# Board files and site files",
        "",
        f"Made by `{COMMAND}` from `firmware/boardschema.py` and `portalschema.py`; do not edit.",
        "",
        "A board file says which hardware there is. Unknown keys are errors that name the nearest known one; "
        "all faults of a file are reported together. `tallygate boards` checks the shipped files.",
        "",
    ]
    hints = get_type_hints(Board, include_extras=True)
    for name, hint in hints.items():
        parts += _section(name, _struct(hint), notes, optional=type(None) in get_args(hint))
        if name == "pins":
            for table, kind in (("inputs.NAME", "InputPin"), ("outputs.NAME", "OutputPin")):
                parts += _section(f"pins.{table}", getattr(boardschema, kind), notes, optional=False)
    parts += ["# Site file", ""]
    parts += _section("top level", Site, notes, optional=False)
    parts += _section("broker", boardschema.Broker, notes, optional=True)
    return "\n".join(parts).rstrip() + "\n"


def _section(name: str, kind: type[Struct], notes: dict[str, dict[str, str]], optional: bool) -> list[str]:
    title = f"## {name}" if name == "top level" else f"## [{name}]"
    lines = [title, "", (inspect.getdoc(kind) or "").replace("\n", " ") + (" Optional." if optional else "")]
    lines += ["", "| key | values | default | what |", "|---|---|---|---|"]
    hints = get_type_hints(kind, include_extras=True)
    for field in msgspec.structs.fields(kind):
        default = "needed" if field.required else _default(field)
        note = notes[kind.__name__].get(field.name, "")
        lines.append(f"| `{field.name}` | {_values(hints[field.name])} | {default} | {note} |")
    return [*lines, ""]


def _default(field: Any) -> str:
    if field.default_factory is not msgspec.NODEFAULT:
        return "its own defaults"
    if field.default in (None, "", ()):
        return "absent"
    if isinstance(field.default, tuple | Struct):
        return f"`{list(field.default)}`" if isinstance(field.default, tuple) else "no lines"
    return f"`{str(field.default).lower() if isinstance(field.default, bool) else field.default}`"


def _values(hint: Any) -> str:
    """The allowed values in a few words."""
    if get_origin(hint) is None:
        if isinstance(hint, type) and issubclass(hint, Struct):
            return "a table"
        return {bool: "true, false", float: "number", int: "whole number", str: "text"}[hint]
    args = get_args(hint)
    metas = [arg for arg in args if isinstance(arg, Meta)]
    if metas:
        return " ".join([_values(args[0]), *(_range(meta) for meta in metas)])
    if get_origin(hint) is dict:
        return (
            f"a table of {_values(args[1])} each" if args[1] in _structs() else f"name = {_values(args[1])}"
        )
    if get_origin(hint) is tuple:
        return f"a list of {_values(args[0])}"
    if type(None) in args:
        return next(_values(arg) for arg in args if arg is not type(None))
    return ", ".join(f"`{arg}`" for arg in args)


def _range(meta: Meta) -> str:
    if meta.pattern is not None:
        return f"matching `{meta.pattern.replace('|', chr(92) + '|')}`"
    if meta.min_length is not None or meta.max_length is not None:
        return f"of up to {meta.max_length} characters"
    low = meta.ge if meta.ge is not None else meta.gt
    return f"{low:g} to {meta.le:g}" if low is not None and meta.le is not None else ""


def _structs() -> set[Any]:
    return {
        kind for kind in vars(boardschema).values() if isinstance(kind, type) and issubclass(kind, Struct)
    }


def _struct(hint: Any) -> type[Struct]:
    found: type[Struct] = next(kind for kind in (hint, *get_args(hint)) if kind in _structs())
    return found


def _notes() -> dict[str, dict[str, str]]:
    """Class name to field name to the text under that field in the schema's source."""
    notes: dict[str, dict[str, str]] = {}
    sources = [inspect.getsource(module) for module in (boardschema, portalschema)]
    for node in (node for source in sources for node in ast.parse(source).body):
        if not isinstance(node, ast.ClassDef):
            continue
        found = notes.setdefault(node.name, {})
        for field, text in zip(node.body, node.body[1:], strict=False):
            is_note = isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and is_note:
                assert isinstance(text, ast.Expr)
                assert isinstance(text.value, ast.Constant)
                found[field.target.id] = " ".join(str(text.value.value).split()).replace("``", "`")
    return notes


def main() -> int:
    return write_or_check_texts(COMMAND, "the schema", {PAGE: page()})


if __name__ == "__main__":
    sys.exit(main())
