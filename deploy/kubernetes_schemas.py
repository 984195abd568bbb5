# ruff: noqa: INP001  a script beside the files that it serves, no package
"""Lay out the JSON Schemas that the package kubernetes-validate carries the way kubeconform looks for them.

`python kubernetes_schemas.py 1.36.0 FOLDER`, in an environment that has kubernetes-validate. No network.
"""

import json
import sys
from importlib.util import find_spec
from pathlib import Path


def main(version: str, folder: Path) -> None:
    """Write one file per kind; references become relative, so that they resolve within the folder."""
    found = find_spec("kubernetes_validate")
    if found is None or found.origin is None:
        message = "kubernetes-validate is not installed here"
        raise SystemExit(message)
    source = Path(found.origin).parent / "kubernetes-json-schema" / f"v{version}-local-strict"
    folder.mkdir(parents=True, exist_ok=True)
    for path in source.glob("*.json"):
        schema = json.loads(path.read_text())
        schema.pop("$id", None)
        text = json.dumps(schema).replace("/api/_definitions.json#", "_definitions.json#")
        (folder / path.name).write_text(text)
    if not any(folder.iterdir()):
        message = f"kubernetes-validate has no schemas for {version}"
        raise SystemExit(message)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
