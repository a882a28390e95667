"""A stranger's look at a release or an archive: files, seats, counts, main table. No database."""

from studyapp.verify.findings import Finding, VerifyError
from studyapp.verify.run import verify

__all__ = ["Finding", "VerifyError", "verify"]
