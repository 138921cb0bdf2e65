"""The zbar child in an environment that has no zbar-py."""

import sys

from hal.vision.zbar_child import main


class Missing:
    """Says of zbar what Python says of a package that is not installed."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name == "zbar":
            raise ModuleNotFoundError("No module named 'zbar'", name="zbar")


sys.meta_path.insert(0, Missing())  # type: ignore[arg-type]
sys.exit(main())
