"""Win rates of a blind pairwise study: pure functions over judgment records, one idea a file, no Django.

`table(outcomes, ...)` gives the rows, `render_table` and `to_json` show them. Formulas follow the analysis
specification of the study platform: half-credit win rate, CR2 variance by participant with Satterthwaite degrees of
freedom, Student's t on the logit scale, two-way by question where questions are shared.
"""

from annotations.winrate.records import Outcome, OutcomeError, Planned
from annotations.winrate.render import render_table, to_json
from annotations.winrate.rows import COLUMNS, Row, Study
from annotations.winrate.table import table

__all__ = ["COLUMNS", "Outcome", "OutcomeError", "Planned", "Row", "Study", "render_table", "table", "to_json"]
