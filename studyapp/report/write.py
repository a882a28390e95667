"""A report into a folder."""

from __future__ import annotations

from pathlib import Path

from annotations.figures import FORMATS, save
from annotations.figures.style import FigureError
from studyapp.models import Study
from studyapp.report.drawings import drawings
from studyapp.report.evidence import gather
from studyapp.report.latex import latex
from studyapp.report.page import page

PAGE, TABLE, FIGURES = "report.html", "table.tex", "figures"


class ReportError(ValueError):
    """A report that cannot be written; the message says where and what would be right."""


def write_report(study: Study, folder: Path) -> list[Path]:
    """Write `report.html`, `table.tex` and every figure as SVG, PDF and PNG; returns the files, the page first.

    A report that is there already is replaced. Raises StudyError before unblinding, ReportError for a bad folder.
    """
    evidence = gather(study)
    figures = drawings(evidence)
    texts = {folder / PAGE: page(evidence, figures), folder / TABLE: latex(evidence)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in texts.items():
            path.write_text(text, encoding="utf-8")
        drawn = [
            save(one.chart, folder / FIGURES / f"{name}.{kind}") for name, one in figures.items() for kind in FORMATS
        ]
    except FileExistsError:
        raise ReportError(f"{folder} is a file; name a folder that is not there yet, or an earlier report.") from None
    except FigureError as error:
        raise ReportError(str(error)) from None
    except OSError as error:
        raise ReportError(f"{folder} cannot be written: {error.strerror}; name another folder.") from None
    return [*texts, *drawn]
