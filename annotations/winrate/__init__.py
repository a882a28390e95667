"""Win rates of a blind pairwise study: pure functions over judgment records, one idea a file, no Django.

`table(outcomes, ...)` gives the rows, `render_table` and `to_json` show them. Formulas follow the analysis
specification of the study platform: half-credit win rate, CR2 variance by participant with Satterthwaite degrees of
freedom, Student's t on the logit scale, two-way by question where questions are shared.

The names below are imported when they are asked for: the numerical libraries behind them take a second, which a web
process or a command that counts nothing should not pay.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from annotations.winrate.records import Outcome, OutcomeError, Planned
    from annotations.winrate.render import render_table, to_json
    from annotations.winrate.rows import COLUMNS, Row, Study
    from annotations.winrate.tables import table

__all__ = ["COLUMNS", "Outcome", "OutcomeError", "Planned", "Row", "Study", "render_table", "table", "to_json"]

_PLACES = {
    **dict.fromkeys(("Outcome", "OutcomeError", "Planned"), "records"),
    **dict.fromkeys(("render_table", "to_json"), "render"),
    **dict.fromkeys(("COLUMNS", "Row", "Study"), "rows"),
    "table": "tables",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
