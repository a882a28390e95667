"""The tables that say how a study is run and reported: people, time, money, analysis, privacy."""

from __future__ import annotations

from typing import Literal
from urllib.parse import parse_qs, urlsplit

from studyapp.protocol.fields import (
    Count,
    Date,
    DateOrLine,
    Flag,
    FullLabel,
    FullLine,
    Line,
    Number,
    OptionalText,
    Positive,
    RowId,
    Slug,
    Table,
    key,
)


class QuotaDef(Table):
    """[[quotas]]: how many people of each answer may take part."""

    by: FullLabel = key(..., "The form answer that is counted.")
    max: dict[str, Count] = key(..., "Answer = largest number of people.")


class Eligibility(Table):
    """[eligibility]: who may take part."""

    min_age: int = key(18, "Youngest age, stated on the consent page.", later=True, strict=True, ge=0, le=120)
    not_in: tuple[Slug, ...] = key((), "Studies whose participants may not take part.", later=True)
    only_in: tuple[Slug, ...] = key((), "Studies whose participants alone may take part.", later=True)
    devices: tuple[Literal["phone", "tablet", "desktop"], ...] = key((), "Devices allowed; none: all.", later=True)


class Disclosure(Table):
    """[disclosure]: what people are told, and when."""

    purpose: Literal["neutral", "full"] = key(
        "neutral", "Whether personalisation is named before judging.", later=True
    )
    guess: Flag = key(True, "Ask at the end which answers were personalised.", later=True)


class Wait(Table):
    """[wait]: waiting for a text."""

    deadline_s: int = key(
        90,
        "Seconds after which a waiting person may leave, paid, or go on with what is ready.",
        strict=True, ge=1, le=3600,
    )


class Sessions(Table):
    """[sessions]: how long a place is kept."""

    lease_min: int = key(15, "Minutes from entry to consent, and silence after which a person counts as timed out.",
                         strict=True, ge=1, le=1440)
    resume_hours: int = key(24, "Hours in which a timed-out person may come back.", strict=True, ge=0, le=8760)


class Exits(Table):
    """[exits]: a completion code or an https address for each way out; empty: a closing page without a code."""

    completed: Line = key("", "Everything was judged.")
    declined: Line = key("", "Consent was not given.")
    screened_out: Line = key("", "Not eligible.")
    failed_checks: Line = key(
        "",
        "Completed, but two attention checks were missed (one, where `[pay] minutes` is under 5); empty: as "
        "`completed`.",
    )
    timed_out: Line = key("", "The place was given up.")
    excused: Line = key("", "Left for a technical reason, paid.")
    stopped: Line = key("", "Stopped and kept what was given.")
    withdrawn: Line = key("", "Stopped and erased everything.")

    def value(self, way: str) -> str:
        """The code or address of `way`; empty when none is set. Raises KeyError for an unknown way."""
        if way not in type(self).model_fields:
            raise KeyError(way)
        return str(getattr(self, way))

    def code(self, way: str) -> str:
        """The code to show: the value itself, or the `cc` of an address; empty when there is none."""
        value = self.value(way)
        if "://" not in value:
            return value
        return (parse_qs(urlsplit(value).query).get("cc") or [""])[0]

    def url(self, way: str) -> str:
        """The address to go to, placeholders unfilled; empty when the value is a bare code."""
        value = self.value(way)
        return value if "://" in value else ""


class Pay(Table):
    """[pay]: what people get, for the consent page and the estimate."""

    currency: str = key("", "Three letters: GBP, EUR, USD.", strict=True, pattern=r"^(?:[A-Z]{3})?\z")
    amount: Number | None = key(None, "Pay for a completed study.", ge=0, le=1_000_000)
    minutes: Number | None = key(None, "Minutes people are told it takes.", gt=0, le=1440)
    floor_per_hour: Number | None = key(None, "Least pay an hour that is fair; `check` warns under it.", ge=0, le=1e6)
    ceiling: Number | None = key(None, "Most the whole study may cost.", ge=0, le=1e9)


class Analysis(Table):
    """[analysis]: the pre-registered analysis."""

    primary: tuple[FullLabel, ...] = key((), 'Primary comparisons, "treatment>baseline"; none named: all of them.')
    secondary: tuple[FullLabel, ...] = key((), "Further comparisons, outside the primary family.")
    alpha: Number = key(0.05, "Two-sided level; intervals cover 1 - alpha.", gt=0, lt=0.5)
    interval: Literal["two_way", "participant"] = key(
        "two_way", "The headline interval: people and questions where those are shared, or people alone."
    )
    sesoi: Number | None = key(
        None, "Smallest win rate of interest: the analysis tests whether the rate lies beyond it.", gt=0, lt=1
    )
    margin: Number | None = key(
        None, "Margin around one half: the primary comparisons are tested for non-inferiority and equivalence.",
        gt=0, lt=0.5,
    )
    looks: Literal["none", "betting"] = key(
        "none", "Pre-registered looks before the end: `betting` allows `winrates SLUG --look`."
    )
    min_df: Number | None = key(None, "Least degrees of freedom for a p-value.", gt=0, le=1000)


class ExclusionDef(Table):
    """[[exclusions]]: a rule fixed before anything is seen."""

    id: RowId = key(..., "Name of the rule in exports.")
    scope: Literal["participant"] = key("participant", "What it takes out.")
    metric: FullLabel = key(..., "What is measured of a participant, see [analysis](analysis.md#exclusions).")
    op: Literal["<", "<=", "==", "!=", ">=", ">"] = key(..., "Who is measured so is left out: metric op value.")
    value: Number = key(..., "Threshold.")
    set: Literal["per_protocol"] = key("per_protocol", "The analysis set it shapes.")


class Stopping(Table):
    """[stopping]: when enrolment ends by itself."""

    count: Literal["completed", "judged"] = key("completed", "What is counted.", later=True)
    target: Positive | None = key(None, "Close at so many.", later=True)
    until: Date | None = key(None, "Close on this day.", later=True)


class Privacy(Table):
    """[privacy]: what participants and reviewers are told about their data."""

    controller: Line = key("", "Who is responsible.")
    contact: Line = key("", "Whom to write to.")
    ethics_approval: Line = key("", "Board and number.")
    lawful_basis: Line = key("", "Why the data may be processed.")
    special_category: Line = key("", "Special categories of data, if any, and their basis.")
    recipients: tuple[FullLine, ...] = key((), "Who else sees the data.")
    retention_identity_days: int | None = key(
        None, "Days after which identities are erased.", strict=True, ge=0, le=36500
    )
    withdraw_until: DateOrLine = key("", "A date or an event until which data can be withdrawn.")
    reuse: OptionalText = key("", "What else the data may be used for.")
