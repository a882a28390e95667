"""A zip with a digest over all of its bytes, written whole or not at all, and read as if an enemy had made it.

The zip's comment, its last bytes, is `sha256:` and the SHA-256 (hex) of everything before it: a changed byte is noticed
wherever it is. Nothing is ever extracted to a path that the file names.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

MARK, DIGITS = b"sha256:", 64
BLOCK = 1024 * 1024
EPOCH = (1980, 1, 1, 0, 0, 0)
MEMBERS = 10_000
# More than this may be unpacked only up to so many times the file's own size: a bomb unpacks to a thousand times.
FREE_BYTES, RATIO = 64 * 1024**2, 200
PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*\Z")


class SealedError(Exception):
    """A file that cannot be trusted or read; the message says which part of it, and why."""


@contextmanager
def written(path: Path) -> Iterator[zipfile.ZipFile]:
    """A zip to write into, readable by its owner alone, which appears at `path` when it is whole."""
    partial = path.with_name(f".{path.name[:100]}.{secrets.token_hex(4)}.partial")
    try:
        handle = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "r+b") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as zipped:
                zipped.comment = MARK + b"0" * DIGITS
                yield zipped
            total = _digest(file, file.seek(0, os.SEEK_END) - len(MARK) - DIGITS)
            file.seek(-DIGITS, os.SEEK_END)
            file.write(total.encode())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def entry(name: str) -> zipfile.ZipInfo:
    """A member of that name without a time: the same content gives the same bytes."""
    info = zipfile.ZipInfo(name, EPOCH)
    info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o600 << 16
    return info


def _digest(file: IO[bytes], length: int) -> str:
    file.seek(0)
    total = hashlib.sha256()
    while length > 0 and (block := file.read(min(BLOCK, length))):
        total.update(block)
        length -= len(block)
    return total.hexdigest()


def is_whole(path: Path) -> bool:
    """Whether the digest at the end of the file is that of the bytes before it."""
    size = path.stat().st_size - len(MARK) - DIGITS
    if size <= 0:
        return False
    with path.open("rb") as file:
        total = _digest(file, size)
        file.seek(size)
        return file.read() == MARK + total.encode()


@contextmanager
def opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """The zip, its members' names and sizes found harmless. Raises SealedError."""
    try:
        with zipfile.ZipFile(path) as zipped:
            _refuse_hostile(path, zipped)
            yield zipped
    except (zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError, ValueError, zlib.error) as error:
        raise SealedError(f"{path}: is no readable zip file ({error}).") from error


def _refuse_hostile(path: Path, zipped: zipfile.ZipFile) -> None:
    members = zipped.infolist()
    if len(members) > MEMBERS:
        raise SealedError(f"{path}: has {len(members)} members; at most {MEMBERS} are read.")
    seen: set[str] = set()
    for member in members:
        if trouble := _trouble(member, seen):
            raise SealedError(f"{path}: member {member.filename[:100]!r} {trouble}.")
        seen.add(member.filename)
    total, allowed = sum(member.file_size for member in members), FREE_BYTES + RATIO * path.stat().st_size
    if total > allowed:
        raise SealedError(f"{path}: would unpack to {total:,} bytes; of so small a file at most {allowed:,} are read.")


def _trouble(member: zipfile.ZipInfo, seen: set[str]) -> str:
    if not all(PART.match(part) for part in member.filename.split("/")):
        return "has a name that leads elsewhere"
    if member.filename in seen:
        return "is there twice"
    if stat.S_ISLNK(member.external_attr >> 16) or member.is_dir():
        return "is no plain file"
    if member.flag_bits & 0x1:
        return "is encrypted"
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "is packed in a way that is not read here"
    return ""


def blocks(zipped: zipfile.ZipFile, name: str) -> Iterator[bytes]:
    """A member's bytes, never more than it says it has. Raises SealedError where it is broken or not there."""
    try:
        with zipped.open(name) as file:
            while block := file.read(BLOCK):
                yield block
    except KeyError as error:
        raise SealedError(f"{name}: is missing.") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise SealedError(f"{name}: is damaged ({error}).") from error


def lines(zipped: zipfile.ZipFile, name: str, longest: int) -> Iterator[bytes]:
    """A member's lines. Raises SealedError for a line longer than `longest` bytes, and as `blocks`."""
    rest = b""
    for block in blocks(zipped, name):
        *whole, rest = (rest + block).split(b"\n")
        yield from whole
        if len(rest) > longest:
            raise SealedError(f"{name}: has a line of more than {longest:,} bytes.")
    if rest:
        yield rest


def member_digest(zipped: zipfile.ZipFile, name: str) -> str:
    """SHA-256 (hex) of a member. Raises SealedError as `blocks`."""
    total = hashlib.sha256()
    for block in blocks(zipped, name):
        total.update(block)
    return total.hexdigest()
