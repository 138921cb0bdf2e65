"""The command line of a page that is written from the code: write it, or with ``--check`` only compare.

Comparing must never change a file.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path


def write_or_check(command: str, wrong: Callable[[], Iterable[str]], write: Callable[[], None]) -> int:
    """The exit code. ``wrong``: what each file that differs says instead; ``command`` is what mends it."""
    if "--check" not in sys.argv[1:]:
        write()
        return 0
    faults = list(wrong())
    for fault in faults:
        print(f"{fault}: run {command}", file=sys.stderr)
    return 1 if faults else 0


def write_or_check_texts(command: str, source: str, made: Mapping[Path, str]) -> int:
    """The same for text files; ``source`` names, for the message, what they were made from."""

    def wrong() -> Iterable[str]:
        for path, text in made.items():
            if path.read_text(encoding="utf-8") != text:
                yield f"{path.name} is not what {source} says"

    def write() -> None:
        for path, text in made.items():
            path.write_text(text, encoding="utf-8")

    return write_or_check(command, wrong, write)
