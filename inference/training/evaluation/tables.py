"""The report: Markdown tables in which no figure stands without its interval and its n."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from inference.training.evaluation.arms import ARMS, BASE, CONTROLS
from inference.training.evaluation.bars import Bar
from inference.training.evaluation.ceiling import IDEAL
from inference.training.evaluation.interval import Estimate
from inference.training.evaluation.measures import Measures, Row
from inference.training.evaluation.paper import CURVE, paper_rate
from inference.training.evaluation.people import FIELDS, KEPT, MAIN, PARTS, SEEN, TRAINED
from inference.world import DOMAINS, EXPLANATIONS, OPEN, REVIEWS

NONE = "–"
TITLES: tuple[tuple[str, str | None, str], ...] = (
    (MAIN, None, "Mean of the three domains"),
    (MAIN, OPEN, "Open-ended questions, held-out personas"),
    (MAIN, EXPLANATIONS, "Explanations, five levels (ELIX easy)"),
    (FIELDS, EXPLANATIONS, "Explanations, a level for each field, held-out users (ELIX hard)"),
    (MAIN, REVIEWS, "Reviews, interpolated users"),
    (TRAINED, REVIEWS, "Reviews, users of training"),
)
"""(part, domain) of the tables by arm, in order, with their titles."""
HEAD = (
    *("arm", "paper", "win rate", "95 % interval", "judgments", "users", "ideal observer", "share of its gain"),
    *("readable", "names the subject", "words"),
)


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def percent(value: float | None, digits: int = 1) -> str:
    """A share in per cent."""
    return NONE if value is None else f"{100 * value:.{digits}f}"


def interval(estimate: Estimate | None) -> str:
    """The interval of a share in per cent."""
    if estimate is None or estimate.low is None or estimate.high is None:
        return NONE
    return f"{percent(estimate.low)} to {percent(estimate.high)}"


def figure(estimate: Estimate | None) -> str:
    """A share with its interval, in per cent."""
    return NONE if estimate is None else f"{percent(estimate.value)} ({interval(estimate)})"


def arm_tables(measures: Measures, curve: Sequence[int], shots: int) -> str:
    """Every table by arm; the numbers of shots that only the curve has are left to it."""
    only_curve = {f"{name}@{count}" for count in curve if count != shots for name in ("fspo", IDEAL)}
    only_curve -= {f"{IDEAL}@0"}
    sections = []
    for part, domain, title in TITLES:
        names = [name for name in measures.board.treatments(part) if name not in only_curve]
        rows = [(name, measures.row(part, name, domain)) for name in names if name.partition("@")[0] not in CONTROLS]
        lines = [_line(part, domain, row) for _, row in rows if row is not None]
        if lines:
            sections.append(f"### {title}\n\n{markdown(HEAD, lines)}")
    return "\n".join(sections)


def _line(part: str, domain: str | None, row: Row) -> list[str]:
    paper = paper_rate(part, domain, row.treatment)
    is_base = row.treatment.startswith(f"{BASE}@")
    rate = ["judged against", NONE] if is_base else [percent(row.rate.value), interval(row.rate)]
    ideal = [NONE, NONE] if is_base or row.treatment.startswith(IDEAL) else [percent_of(row.ideal), figure(row.share)]
    shares = [percent(row.readable), percent(row.named), f"{row.words:.0f}"]
    name = f"`{row.treatment}`"
    return [
        name,
        NONE if paper is None else f"{paper}",
        *rate,
        f"{row.rate.n:,}",
        f"{row.rate.users:,}",
        *ideal,
        *shares,
    ]


def percent_of(estimate: Estimate | None) -> str:
    """The value of an estimate in per cent."""
    return percent(estimate.value if estimate else None)


def curve_table(measures: Measures, curve: Sequence[int]) -> str:
    """FSPO and the ideal observer by number of shots."""
    head = ["shots", "paper (open-ended)", *(f"{name}, {d}" for d in (*DOMAINS, "mean") for name in ("FSPO", "ideal"))]
    lines = []
    for count in curve:
        line = [str(count), str(CURVE.get(count, NONE))]
        for domain in (*DOMAINS, None):
            line += [figure(measures.rate(MAIN, f"{name}@{count}", domain)) for name in ("fspo", IDEAL)]
        lines.append(line)
    return markdown(head, lines)


def control_table(measures: Measures, shots: int) -> str:
    """Own shots, a donor's and flipped labels, by domain."""
    head = ["domain", "own shots", "a donor's shots", "own less donor, points", "all labels flipped", "judgments each"]
    own, donor, flipped = (ARMS[name].shown(shots) for name in ("fspo", *CONTROLS))
    lines = []
    for domain in (*DOMAINS, None):
        rates = [measures.rate(MAIN, name, domain) for name in (own, donor, flipped)]
        gap = measures.gap((MAIN, own), (MAIN, donor), domain)
        counted = next((f"{rate.n:,}" for rate in rates if rate), NONE)
        lines.append([domain or "mean", *map(figure, rates[:2]), figure(gap), figure(rates[2]), counted])
    return markdown(head, lines)


def split_table(measures: Measures, shots: int) -> str:
    """FSPO by what training has seen of the question."""
    head = ["question", *DOMAINS, "mean", "less held-out subjects, same people, points", "judgments"]
    own = ARMS["fspo"].shown(shots)
    lines = []
    for part in (MAIN, KEPT, SEEN):
        rates = [measures.rate(part, own, domain) for domain in (*DOMAINS, None)]
        gap = measures.gap((part, own), (MAIN, own)) if part != MAIN else None
        lines.append([PARTS[part].says, *map(figure, rates), figure(gap), f"{rates[-1].n:,}" if rates[-1] else NONE])
    return markdown(head, lines)


def bar_table(found: Sequence[Bar]) -> str:
    """Every bar with what was measured."""
    says = {True: "pass", False: "FAIL", None: "not decided"}
    lines = []
    for bar in found:
        measured = bar.measured
        counted = [f"{measured.n:,}", f"{measured.users:,}"] if measured else [NONE, NONE]
        value = percent(measured.value if measured else None)
        lines.append([bar.name, bar.asked, value, interval(measured), *counted, says[bar.passed], bar.note])
    return markdown(["bar", "asked", "measured", "95 % interval", "judgments", "users", "", "note"], lines)
