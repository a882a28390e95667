"""The report: everything that was measured, on one Markdown page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from inference.training.evaluation.answers import Cost
from inference.training.evaluation.bars import Bar
from inference.training.evaluation.checkpoints import Found
from inference.training.evaluation.config import Config
from inference.training.evaluation.interval import win_rate
from inference.training.evaluation.judges import Opinion
from inference.training.evaluation.measures import Measures
from inference.training.evaluation.tables import (
    NONE,
    arm_tables,
    bar_table,
    control_table,
    curve_table,
    interval,
    markdown,
    percent,
    split_table,
)

INTRODUCTION = """\
Win rates are in per cent against the answers of `base`, by the exact judge, ties half. `@8` is the number of shots.
Intervals are 95 %, cluster-robust by user (CR2 variance, Student's t on the logit scale; differences on their own
scale). The ideal observer sees the same shots, or for the oracle knows the user, and is judged against the same base
texts; the share is an arm's gain over 50 % divided by the observer's. The paper's figures are from its own users,
questions and judge: a comparison of patterns, not of levels.
"""


def report(
    measures: Measures,
    few: Measures,
    bars: Sequence[Bar],
    opinions: Sequence[Opinion],
    costs: Sequence[Cost],
    found: Found,
    config: Config,
) -> str:
    """The whole page; `few` are the people of the curve."""
    shots, curve = config.shots.number, config.shots.curve
    left_out = "".join(f"- {sentence}\n" for sentence in found.left_out)
    sections = [
        f"# Evaluation\n\n{INTRODUCTION}",
        _setting(found, config),
        f"## Left out\n\n{left_out}" if left_out else "",
        f"## Bars\n\n{bar_table(bars)}",
        f"## By arm\n\n{arm_tables(measures, curve, shots)}",
        f"## By number of shots\n\n{curve_table(few, curve)}",
        f"## Controls\n\n{control_table(measures, shots)}",
        f"## What training has seen\n\n{split_table(measures, shots)}",
        _language_judge(opinions, config),
        f"## What it cost\n\n{_cost_table(costs)}",
    ]
    return "\n".join(section for section in sections if section)


def _setting(found: Found, config: Config) -> str:
    decoding = config.sampling
    lines = [[f"`{name}`", f"`{folder}`"] for name, folder in found.folders.items()]
    return (
        f"## Setting\n\nSeed {config.seed}; temperature {decoding.temperature}, top-p {decoding.top_p}, at most "
        f"{decoding.max_tokens} new tokens.\n\n{markdown(['checkpoint', 'folder'], lines)}"
    )


def _language_judge(opinions: Sequence[Opinion], config: Config) -> str:
    if not opinions or config.language_judge is None:
        return ""
    head = ["arm", "win rate", "95 % interval", "pairs", "dropped: order", "dropped: no verdict", "agrees with exact"]
    judge = config.language_judge
    return f"## Language judge\n\n`{judge.engine}` {judge.source}\n\n{markdown(head, map(_opinion_line, opinions))}"


def _opinion_line(opinion: Opinion) -> list[str]:
    rows = list(opinion.judgments())
    rate = win_rate([row.score for row in rows], [row.person.user.code for row in rows])
    agree, of = opinion.agreement()
    dropped = opinion.verdicts
    return [
        *(f"`{opinion.treatment}`", percent(rate.value if rate else None), interval(rate), f"{len(opinion.exact):,}"),
        *(f"{dropped.order_sensitive:,}", f"{dropped.unreadable:,}", f"{agree} of {of}" if of else NONE),
    ]


def _cost_table(costs: Sequence[Cost]) -> str:
    head = ["texts", "number", "seconds", "texts a second", "tokens read each", "tokens written each"]
    return markdown(head, _cost_lines(costs))


def _cost_lines(costs: Sequence[Cost]) -> Iterator[list[str]]:
    whole = Cost(
        "all",
        *(sum(c.texts for c in costs), sum(c.seconds for c in costs)),
        *(sum(c.prompt_tokens for c in costs), sum(c.new_tokens for c in costs)),
    )
    for cost in (*costs, whole):
        pace = f"{cost.texts / cost.seconds:.1f}" if cost.seconds else NONE
        each = [
            f"{tokens / cost.texts:.0f}" if cost.texts else NONE for tokens in (cost.prompt_tokens, cost.new_tokens)
        ]
        yield [cost.name, f"{cost.texts:,}", f"{cost.seconds:.0f}", pace, *each]
