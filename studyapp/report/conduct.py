"""Answers about how the study was conducted and analysed."""

from __future__ import annotations

from studyapp.report.answers import Answer, cannot, measured
from studyapp.report.evidence import Evidence
from studyapp.services.exclusions import added_rules, settled_late

NOBODY = "nobody judged the main comparison."


def several(evidence: Evidence) -> Answer:
    """The headline, with Holm's p over the primary family."""
    row, names = evidence.rate(), evidence.spec.primary
    p = None if row is None else row["p_holm"]
    family = f"{len(names)} primary comparison{'s' * (len(names) > 1)} declared before the study was opened"
    said = "" if p is None else f", Holm's p of this one {'under .0001' if p < 0.0001 else f'{p:.4f}'}"
    return measured(row, "win rate", f"{family}{said}.", NOBODY)


def peeked(evidence: Evidence) -> Answer:
    """The last look where looks were registered; otherwise how many there were."""
    looks = evidence.tables["looks"]
    if not looks:
        return measured(
            evidence.rate(), "win rate",
            "No look at outcomes is on record before unblinding, and no page and no export joins an arm to an outcome "
            "until then; this is the one analysis at the end.",
            NOBODY,
        )  # fmt: skip
    last = [look for look in looks if look["comparison"] == evidence.main][-1:]
    if not last:
        return cannot("the looks on record are not of the main comparison.")
    (look,) = last
    return Answer(
        says=f"{len(looks)} pre-registered looks are on record. The confidence sequence of the last one holds however "
        "often one looks; the middle of it is given as the number.",
        what="people's mean score", estimate=(look["low"] + look["high"]) / 2, low=look["low"], high=look["high"],
        people=look["n_participants"], n=look["n_participants"],
    )  # fmt: skip


def exclusions(evidence: Evidence) -> Answer:
    """The per-protocol win rate, and when rules were made and applied."""
    added = added_rules(evidence.study)
    after = sum(rule.post_hoc for rule in added)
    when = "after" if settled_late(evidence.study) else "before"
    timing = (
        f"The protocol's rules were applied {when} unblinding; {len(added)} rules were added after opening, {after} of "
        "them after unblinding, and none of these shapes this set."
    )
    says = f"Without anybody left out the number is above; this is per protocol. {timing}"
    few = f"fewer than two people are left per protocol. {timing}"
    return measured(evidence.rate("per_protocol"), "win rate, per protocol", says, few)


def dependent(evidence: Evidence) -> Answer:
    """The headline beside the naive interval and the design effect."""
    row = evidence.rate()
    says = "The interval is clustered."
    if row is not None and row["icc"] is not None and row["deff"] is not None:
        says = (
            f"The interval is clustered. As if independent it would be [{row['wilson_iid_low']:.3f}, "
            f"{row['wilson_iid_high']:.3f}]; intraclass correlation {row['icc']:.2f}, design effect {row['deff']:.2f}."
        )
    return measured(row, "win rate", says, NOBODY)


def small(evidence: Evidence) -> Answer:
    """Against the smallest rate of interest."""
    row = evidence.row("margins", comparison=evidence.main, test="minimum_effect")
    if row is None:
        return cannot("[analysis] sesoi, the smallest win rate of interest, was not declared.")
    if row["ci_level"] is None:
        return cannot("fewer than two people judged the main comparison.")
    shown = "is shown to lie" if row["holds"] else "is not shown to lie"
    says = f"The win rate {shown} beyond the smallest one of interest, {evidence.spec.analysis.sesoi:g} (one-sided)."
    return measured(row, f"win rate, {row['ci_level']:.0%} interval", says, NOBODY)
