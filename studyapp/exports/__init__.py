"""Exports: row generators with explicit columns, the same rows in every format, blinded until unblinding."""

from studyapp.exports.run import FORMATS, ExportError, export
from studyapp.exports.tables import TABLES

__all__ = ["FORMATS", "TABLES", "ExportError", "export"]
