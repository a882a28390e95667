"""Results of a study: judgments out of rows, into the pure analysis. Only for an unblinded study."""

from studyapp.results.rates import REAL, SIMULATED, win_rates
from studyapp.results.tables import TABLES, tables

__all__ = ["REAL", "SIMULATED", "TABLES", "tables", "win_rates"]
