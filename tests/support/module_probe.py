"""Runs a board's process for two seconds and prints the modules and threads it has, as JSON.

``python -m tests.support.module_probe BOARD.toml``; a real Pi's board file runs on a stand-in for lgpio.
"""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path


def main() -> None:
    path = Path(sys.argv[1])
    from firmware import run

    process = run.Process(path, path.with_name("site.toml"))
    threads: list[str] = []

    def stop() -> None:
        threads.extend(sorted(thread.name for thread in threading.enumerate()))
        process.loop.stop()

    process.loop.call_later(2.0, stop)
    code = process.run()
    print(json.dumps({"code": code, "modules": sorted(sys.modules), "threads": threads}))


if __name__ == "__main__":
    main()
