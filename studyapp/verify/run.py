"""Every check, on a release's folder, a release that was downloaded as a zip, or an archive."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from studyapp.archive import ArchiveError, reading
from studyapp.exports import sealed
from studyapp.verify import checks
from studyapp.verify.archived import Archived
from studyapp.verify.findings import Finding, Source, VerifyError
from studyapp.verify.folder import Release

CONTENTS: tuple[Callable[[Source], Finding], ...] = (checks.seats, checks.counts, checks.main_table)


def verify(path: Path) -> list[Finding]:
    """What holds and what does not, in order. Raises VerifyError for what is neither a release nor an archive."""
    if path.is_dir():
        return _release(path)
    if not path.is_file():
        raise VerifyError(f"{path}: there is no such file or folder.")
    whole = _whole(path)
    if reading.is_archive(path):
        return [whole, *_archived(path)]
    with _unpacked(path) as folder:
        return [whole, *_release(folder)]


def _whole(path: Path) -> Finding:
    wrong = () if sealed.is_whole(path) else (f"{path.name}: bytes have changed since it was written",)
    return Finding("whole", f"{path.stat().st_size:,} bytes against the digest at the end", wrong)


@contextmanager
def _unpacked(path: Path) -> Iterator[Path]:
    """A zip's harmless members in a folder that goes away."""
    with tempfile.TemporaryDirectory(prefix="palate-verify-") as name:
        folder = Path(name)
        try:
            with sealed.opened(path) as zipped:
                need, free = sum(m.file_size for m in zipped.infolist()), shutil.disk_usage(folder).free
                if need > free:
                    raise VerifyError(f"{path}: unpacks to {need:,} bytes, and {folder.parent} has {free:,} free.")
                for member in zipped.infolist():
                    target = folder / member.filename
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with target.open("wb") as out:
                        for block in sealed.blocks(zipped, member.filename):
                            out.write(block)
        except sealed.SealedError as error:
            raise VerifyError(str(error)) from error
        yield folder


def _archived(path: Path) -> list[Finding]:
    try:
        with reading.opened(path) as found:
            source = Archived(found)
            return [_tried("parts", source.parts), *contents(source)]
    except ArchiveError as error:
        return [Finding("parts", "cannot be read", (str(error),))]


def _release(folder: Path) -> list[Finding]:
    release = Release(folder)
    found = [release.named(), release.files()]
    found.append(_tried("tables", release.tables))
    return [*found, *contents(release)]


def contents(source: Source) -> list[Finding]:
    """The checks of what the tables say."""
    return [_tried(check.__name__.replace("_", " "), lambda check=check: check(source)) for check in CONTENTS]  # type: ignore[misc]


def _tried(name: str, check: Callable[[], Finding]) -> Finding:
    """What a check finds; data of another shape than a release's fail it, and say why."""
    try:
        return check()
    except (VerifyError, ArchiveError) as error:
        return Finding(name, "cannot be checked", (str(error),))
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError, json.JSONDecodeError) as error:
        return Finding(name, "cannot be checked", (f"the data are of another shape: {type(error).__name__} {error}",))
