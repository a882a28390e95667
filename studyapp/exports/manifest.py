"""`manifest.json`: every file of a release with its SHA-256, and what the release is of; beside it, its own digest."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

NAME, DIGEST = "manifest.json", "manifest.sha256"
KIND = "palate-release"
SCHEMA_VERSION = 1
BLOCK = 1024 * 1024


def digest(path: Path) -> str:
    """SHA-256 (hex) of a file, read in blocks."""
    total = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            total.update(block)
    return total.hexdigest()


def write(place: Path, about: dict[str, Any], files: dict[str, dict[str, Any]]) -> Path:
    """Write the manifest of everything below `place`.

    about: what the release is of, see docs/exports.md. files: what else is known of a file by its relative path, such
    as its table and rows.
    """
    found = sorted(path for path in place.rglob("*") if path.is_file())
    listed = {}
    for path in found:
        name = path.relative_to(place).as_posix()
        listed[name] = {**files.get(name, {}), "bytes": path.stat().st_size, "sha256": digest(path)}
    manifest = {"kind": KIND, "schema_version": SCHEMA_VERSION, **about, "files": listed}
    path = place / NAME
    path.write_text(json.dumps(manifest, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    (place / DIGEST).write_text(digest_line(path), encoding="ascii")
    return path


def digest_line(path: Path) -> str:
    """What `sha256sum manifest.json` prints of the manifest at `path`."""
    return f"{digest(path)}  {NAME}\n"
