"""The report of an unblinded study: one page, one table for print, figures."""

from studyapp.report.write import ReportError, write_report

__all__ = ["ReportError", "write_report"]
