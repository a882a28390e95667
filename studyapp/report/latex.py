"""The table for print: the win rates, and the methods as a paragraph under them."""

from __future__ import annotations

from annotations.winrate.tabular import as_latex, latex_escaped
from studyapp.report.claims import meaning, verdict
from studyapp.report.evidence import Evidence, Row
from studyapp.report.methods import departures, methods


def latex(evidence: Evidence) -> str:
    """LaTeX to \\input; needs booktabs and graphicx."""
    who = "simulated participants" if evidence.simulated else "participants"
    caption = latex_escaped(
        f"Win rates of {evidence.study}, {who}; {evidence.level:.0%} intervals, clustered. {verdict(evidence)}"
    )
    departed = "; ".join(departures(evidence)) or "none on record"
    departed = departed.rstrip(".")
    paragraph = [*methods(evidence), meaning(evidence), f"Departures from what was registered: {departed}."]
    digest = evidence.study.protocol_hash
    return "\n".join(
        [
            "% \\usepackage{booktabs, graphicx}; words in other letters than Latin ones need lualatex or xelatex",
            "\\begin{table}",
            "\\centering",
            f"\\caption{{{caption}}}",
            f"\\label{{tab:{evidence.study.slug}}}",
            "\\resizebox{\\linewidth}{!}{%",
            as_latex(_rows(evidence)).rstrip() + "}",
            "\\end{table}",
            "",
            "\\paragraph{Methods.}",
            *(latex_escaped(sentence).replace(digest, _breakable(digest)) for sentence in paragraph),
            "",
        ]
    )


def _breakable(digest: str) -> str:
    """A digest may go over the end of a line: a column is shorter than it is."""
    return r"\allowbreak{}".join(digest[start : start + 8] for start in range(0, len(digest), 8))


def _rows(evidence: Evidence) -> list[Row]:
    """Every set, by domain too where everybody counts."""
    return [
        row
        for row in evidence.tables["rates"]
        if row["scope"] == "all" or row["analysis_set"] == evidence.in_set("itt")
    ]
