"""The methods paragraph, and where the study departed from what was registered."""

from __future__ import annotations

import platform
from importlib.metadata import version

from annotations.winrate.tabular import headline
from inference.models import Generation
from studyapp.report.evidence import Evidence
from studyapp.results.sets import SIMULATED_MARK
from studyapp.services.exclusions import ADDED, protocol_rules, settled_late
from studyapp.version import code_version

PACKAGES = ("numpy", "scipy", "pandas", "evalica", "Django", "matplotlib")
DIGITS = 12  # of a digest


def methods(evidence: Evidence) -> list[str]:
    """One paragraph in sentences: design, estimator, interval, n, exclusions, models, versions, protocol."""
    return [
        *_design(evidence),
        *_estimator(evidence),
        *_counts(evidence),
        *_exclusions(evidence),
        *_models(evidence),
        *_versions(evidence),
    ]


def _design(evidence: Evidence) -> list[str]:
    spec, who = evidence.spec, "Simulated participants" if evidence.simulated else "Participants"
    pairs = "; ".join(f"{one.items} of {one.treatment} against {one.baseline}" for one in spec.comparisons)
    return [
        f"{who} labelled {spec.elicitation.shots} pairs of ready-made answers and then judged pairs of answers to "
        f"other questions ({pairs}), blind to how a text was made; sides and order were drawn in advance and sealed "
        f"({evidence.study.seat_seal[:DIGITS]}).",
        f"Primary: {', '.join(spec.primary)}.",
    ]


def _estimator(evidence: Evidence) -> list[str]:
    keys, row = evidence.spec.analysis, evidence.rate()
    crossed = row is not None and row["headline_ci"] == "two_way"
    found = [
        "The win rate is the mean score of the treatment over judgments: 1 won, 1/2 tie, 0 lost.",
        "Its variance is clustered by participant (CR2, Bell and McCaffrey 2002) with Satterthwaite's degrees of "
        f"freedom; the {evidence.level:.0%} interval is Student's t on the logit scale"
        + (
            ", two-way by participant and question (Cameron, Gelbach and Miller 2011)."
            if crossed
            else ", by participant, for these questions only."
        ),
        f"Tests are two-sided against one half at {keys.alpha:g}, by Holm over the primary comparisons.",
    ]
    if row is not None and row["ci_method"] == "participant_clopper_pearson":
        found.append("Without any spread between people the interval is Clopper and Pearson's on people.")
    declared = {"margin": keys.margin, "smallest rate of interest": keys.sesoi}
    if named := ", ".join(f"{name} {value:g}" for name, value in declared.items() if value is not None):
        found.append(f"Declared beforehand: {named}.")
    return found


def _counts(evidence: Evidence) -> list[str]:
    flow, row = evidence.flow, evidence.rate()
    said = [f"{flow.get('entered', 0)} people entered, {flow.get('consented', 0)} consented, "
            f"{flow.get('completed', 0)} completed, {flow.get('withdrawn', 0)} withdrew."]  # fmt: skip
    if row is not None:
        said.append(
            f"The intention-to-treat analysis has {row['n_judgments']} judgments of {row['n_participants']} people on "
            f"{row['n_questions']} questions; {row['n_void']} of {row['n_planned']} planned pairs were void."
        )
    return said


def _exclusions(evidence: Evidence) -> list[str]:
    rules = ", ".join(f"{rule.id} ({rule.metric} {rule.op} {rule.value:g})" for rule in protocol_rules(evidence.study))
    gone = {
        row["participant"]
        for row in evidence.tables["exclusions"]
        if row["simulated"] == evidence.simulated and row["rule"] in {r.id for r in protocol_rules(evidence.study)}
    }
    kept = evidence.rate("per_protocol")
    interval = None if kept is None else headline(kept)
    said = f"Nobody is left out of the main analysis. Per protocol {len(gone)} people are left out by: {rules}"
    if kept is not None and interval is not None:
        said += (
            f"; then the win rate is {kept['win_rate']:.3f} [{interval[0]:.3f}, {interval[1]:.3f}], "
            f"{kept['n_participants']} people, {kept['n_judgments']} judgments"
        )
    return [f"{said}."]


def _models(evidence: Evidence) -> list[str]:
    spec = evidence.spec
    arms = "; ".join(
        f"{name}: {spec.models[spec.arms[name].model].source or spec.models[spec.arms[name].model].engine}"
        f", context {spec.arms[name].context} ({spec.arm_shots(name)} shots), "
        f"temperature {spec.arm_sampling(name).temperature:g}, top p {spec.arm_sampling(name).top_p:g}"
        for name in spec.compared_arms
    )
    digests = Generation.objects.filter(study=evidence.study, state=Generation.State.READY).exclude(model_digest="")
    found = sorted({one[:DIGITS] for one in digests.values_list("model_digest", flat=True).distinct()})
    weights = f" Weights by digest: {', '.join(found)}." if found else ""
    return [f"Arms: {arms}.{weights}"]


def _versions(evidence: Evidence) -> list[str]:
    code = code_version()
    commit = f" ({code['commit'][:DIGITS]})" if code["commit"] else ""
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return [
        f"Palate {code['version']}{commit}, Python {platform.python_version()}, {packages}.",
        f"Protocol {evidence.study}, SHA-256 {evidence.study.protocol_hash}.",
    ]


def departures(evidence: Evidence) -> list[str]:
    """What happened otherwise than registered, or after the registration; empty where nothing is on record."""
    study, spec = evidence.study, evidence.spec
    logged = {"preflight_skipped": "Opened without its preflight", "ended": "Ended by hand"}
    found = [f"{logged[event.kind]}: {event.data.get('reason', '')}" for event in evidence.events(*logged)]
    for event in evidence.events(ADDED):
        when = "after unblinding (post hoc)" if event.data["post_hoc"] else "after opening"
        rule = f"{event.data['id']} ({event.data['metric']} {event.data['op']} {event.data['value']:g})"
        found.append(f"Rule {rule} was added {when}: {event.data['reason']}")
    if settled_late(study):
        found.append("The protocol's exclusion rules were applied only after unblinding.")
    completed = evidence.flow.get("completed", 0)
    if spec.target_participants and completed < spec.target_participants:
        found.append(f"{completed} people completed; {spec.target_participants} were wanted.")
    if spec.target_participants and completed > spec.target_participants:
        found.append(f"{completed} people completed, more than the {spec.target_participants} that were wanted.")
    other = any(row["analysis_set"].endswith(SIMULATED_MARK) for row in evidence.tables["rates"])
    if other and not evidence.simulated:
        found.append("Simulated people took part too; they are left out of this page.")
    return found
