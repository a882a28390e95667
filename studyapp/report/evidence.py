"""Everything that a report says, looked up in one place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from annotations.winrate.columns import Judgments
from annotations.winrate.tabular import headline
from studyapp.models import Event, Study
from studyapp.protocol import Protocol
from studyapp.results.rates import judged_sets
from studyapp.results.sets import SIMULATED_MARK, require_unblinded
from studyapp.results.tables import tables

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Evidence:
    """A study's results, and which of them is the main one.

    tables: as `studyapp.results.tables`, with a row a domain. judged: the judgments of the group of people that the
    report is about, intention to treat. simulated: whether that group is simulated. main: the first primary comparison.
    """

    study: Study
    tables: Mapping[str, Sequence[Row]]
    judged: Judgments
    simulated: bool
    main: str

    @property
    def spec(self) -> Protocol:
        """The protocol."""
        return self.study.spec

    @property
    def level(self) -> float:
        """The coverage of intervals."""
        return 1 - float(self.spec.analysis.alpha)

    def in_set(self, name: str) -> str:
        """An analysis set of the reported group by its plain name."""
        return name + SIMULATED_MARK if self.simulated else name

    def part(self, comparison: str = "") -> Judgments:
        """The judgments of a comparison; of the main one without a name."""
        return self.judged.of_comparison(comparison or self.main)

    def rates(self, analysis_set: str = "itt", comparison: str = "", scope: str = "") -> list[Row]:
        """Win-rate rows of the reported group; of every comparison and scope where none is named."""
        return [
            row
            for row in self.tables["rates"]
            if row["analysis_set"] == self.in_set(analysis_set)
            and comparison in ("", f"{row['focal']}>{row['baseline']}")
            and scope in ("", row["scope"])
        ]

    def rate(self, analysis_set: str = "itt", comparison: str = "") -> Row | None:
        """The whole win rate of a comparison, the main one without a name; None where the set does not exist."""
        rows = self.rates(analysis_set, comparison or self.main, "all")
        return rows[0] if rows else None

    def row(self, table: str, **values: Any) -> Row | None:
        """The first row of a table, of intention to treat where it has sets, that has these values."""
        for row in self.tables[table]:
            if row.get("analysis_set", self.in_set("itt")) != self.in_set("itt"):
                continue
            if all(row[name] == value for name, value in values.items()):
                return row
        return None

    def events(self, *kinds: str) -> list[Event]:
        """What was logged of the study itself, oldest first."""
        return list(Event.objects.filter(study=self.study, kind__in=kinds).order_by("id"))

    @property
    def flow(self) -> dict[str, int]:
        """Step -> people of the reported group."""
        who = "simulated" if self.simulated else "real"
        return {row["step"]: row["n"] for row in self.tables["flow"] if row["people"] == who}


def gather(study: Study) -> Evidence:
    """The evidence of a study: of its real people, or of simulated ones where no real person judged anything.

    Raises StudyError before unblinding.
    """
    require_unblinded(study)
    sets = judged_sets(study)
    everybody = [one for one in sets if one.is_primary]
    chosen = next((one for one in everybody if one.judgments.size), everybody[0])
    found = tables(study, by="domain", sets=sets)
    simulated = chosen.name.endswith(SIMULATED_MARK)
    return Evidence(study, found, chosen.judgments, simulated, study.spec.primary[0])


def reach(row: Row | None) -> tuple[float, float] | None:
    """The interval of a row of any table; the headline one of a win rate."""
    if row is None:
        return None
    if "headline_ci" in row:
        return headline(row)
    return None if row["ci_low"] is None or row["ci_high"] is None else (row["ci_low"], row["ci_high"])
