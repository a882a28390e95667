"""A whole study in one file, and back into an empty database."""

from studyapp.archive.restore import restore
from studyapp.archive.write import ArchiveError, archive

__all__ = ["ArchiveError", "archive", "restore"]
