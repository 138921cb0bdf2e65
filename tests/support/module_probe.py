"""A board's process that says, when it ends, which modules it had loaded.

``python -m tests.support.module_probe run BOARD.toml``: what ``python -m firmware run`` does, and then
``loaded.json`` beside the board file: exit code, modules, and the threads that ran just before the end.
"""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path


def main() -> int:
    path = Path(sys.argv[2])
    from firmware import run

    run.configure_logging("info")
    process = run.Process(path, path.with_name("site.toml"))
    threads: list[str] = []
    stop = process._stop

    def stopping(number: int) -> None:
        threads.extend(sorted(thread.name for thread in threading.enumerate()))
        stop(number)

    process._stop = stopping  # type: ignore[method-assign]
    code = process.run()
    found = {"code": code, "modules": sorted(sys.modules), "threads": threads}
    path.with_name("loaded.json").write_text(json.dumps(found))
    return code


if __name__ == "__main__":
    sys.exit(main())
