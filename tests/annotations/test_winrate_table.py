"""The win-rate table: its columns, its edge cases, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from annotations.winrate import COLUMNS, Outcome, OutcomeError, Planned, Row, Study, render_table, table, to_json

SPECIFIED = (
    "study_id, config_hash, data_cutoff, analysis_set, focal, baseline, scope, scope_value, "
    "n_participants, n_judgments, n_questions, wins, ties, losses, win_rate, se_cr2, df, ci_low, ci_high, "
    "ci_level, ci_method, p_value, p_holm, win_rate_decisive, n_decisive, macro_win_rate, macro_se, "
    "macro_ci_low, macro_ci_high, icc, deff, ci_twoway_low, ci_twoway_high, wilson_iid_low, "
    "wilson_iid_high, sign_test_k, sign_test_n, sign_test_p, focal_first_n, first_share, first_share_p, "
    "position_balanced_win_rate, loo_min, loo_max, n_planned, n_void, bound_low, bound_high, p_twoway, "
    "headline_ci, flags"
)
ESTIMATES = [
    name
    for name in SPECIFIED.split(", ")[14:]
    if name not in {"ci_level", "ci_method", "n_decisive", "sign_test_k", "sign_test_n", "focal_first_n", "n_planned",
                    "n_void", "headline_ci", "flags"}
]  # fmt: skip


def people(*scores: Sequence[float | int], comparison: str = "fspo>base", shared: bool = False) -> list[Outcome]:
    """One list of scores a participant; questions are everybody's own unless shared; sides alternate."""
    return [
        Outcome(f"p{i}", f"q{j}" if shared else f"q{i}-{j}", comparison, score, j % 2 == 0, f"d{j % 2}")
        for i, own in enumerate(scores)
        for j, score in enumerate(own)
    ]


def one(outcomes: list[Outcome], **options: object) -> Row:
    (row,) = table(outcomes, comparisons=["fspo>base"], primary=["fspo>base"], **options)  # type: ignore[arg-type]
    return row


def test_the_columns_are_the_specified_ones_in_their_order() -> None:
    assert ", ".join(COLUMNS) == SPECIFIED
    assert list(one(people([1, 0], [1, 1])).to_json()) == list(COLUMNS)


def test_ten_people_winning_everything_get_clopper_pearson_on_people() -> None:
    row = one(people(*[[1.0] * 5] * 10))
    assert (row.win_rate, row.ci_high, row.ci_method) == (1, 1, "participant_clopper_pearson")
    assert row.ci_low == pytest.approx(0.6915, abs=5e-5)
    assert row.p_value == pytest.approx(0.001953, abs=5e-7)
    assert "degenerate" in row.flags


def test_eight_people_with_ties_only() -> None:
    row = one(people(*[[0.5] * 4] * 8))
    assert (row.ci_low, row.ci_high) == pytest.approx((0.157, 0.843), abs=5e-4)
    assert (row.win_rate, row.p_value, row.win_rate_decisive, row.n_decisive) == (0.5, 1, None, 0)


def test_no_variance_between_people_gives_no_p() -> None:
    row = one(people(*[[1.0] * 7 + [0.0] * 3] * 6))
    assert (row.ci_low, row.ci_high) == pytest.approx((0.247, 0.968), abs=5e-4)
    assert row.win_rate == pytest.approx(0.7)
    assert row.p_value is None
    assert "degenerate" in row.flags


def test_no_variance_with_shared_questions_keeps_the_participant_headline() -> None:
    row = one(people(*[[1.0] * 7 + [0.0] * 3] * 6, shared=True))
    assert (row.headline_ci, row.ci_twoway_low, row.p_twoway) == ("participant", None, None)


def test_nobody_judged_is_null_and_never_zero() -> None:
    row = one([])
    assert [getattr(row, name) for name in ESTIMATES] == [None] * len(ESTIMATES)
    assert (row.n_participants, row.n_judgments, row.wins, row.ties, row.losses) == (0, 0, 0, 0, 0)
    assert row.flags == ("no_data", "missing_arm")


def test_one_participant_has_a_win_rate_and_no_interval() -> None:
    row = one(people([1, 1, 0, 0.5]))
    assert row.win_rate == 0.625
    assert (row.se_cr2, row.df, row.ci_low, row.ci_high, row.p_value, row.macro_se) == (None,) * 6
    assert row.ci_method == "none"
    assert "single_participant" in row.flags


def test_few_people_are_flagged_and_keep_their_interval() -> None:
    row = one(people([1, 0], [1, 1], [0, 1]))
    assert {"few_participants", "low_df"} <= set(row.flags)
    assert row.ci_low is not None
    enough = one(people(*[[1.0, 0.0], [1.0, 1.0], [0.0, 1.0], [1.0, 0.5]] * 5))
    assert not {"few_participants", "low_df"} & set(enough.flags)


def test_ties_count_half_and_stand_beside_the_decisive_rate() -> None:
    row = one(people([1, 0.5, 0.5], [1, 0, 1]))
    assert (row.wins, row.ties, row.losses, row.win_rate) == (3, 2, 1, 4 / 6)
    assert (row.win_rate_decisive, row.n_decisive) == (3 / 4, 4)


def test_someone_who_stops_early_counts_less_in_the_pooled_rate_only() -> None:
    row = one(people([1] * 9 + [0], [0]))
    assert row.win_rate == pytest.approx(9 / 11)
    assert row.macro_win_rate == pytest.approx(0.45)


def test_micro_and_macro_far_apart_are_flagged() -> None:
    assert "micro_macro_differ" in one(people([1] * 30, [1] * 29 + [0], [0], [0], [0.5])).flags
    assert "micro_macro_differ" not in one(people([1, 0], [1, 1], [0, 1])).flags


def test_five_shared_questions_bring_the_two_way_headline() -> None:
    own = [[1, 0, 1, 1, 0], [1, 1, 0, 1, 1], [0, 1, 1, 1, 1]]
    shared, separate = one(people(*own, shared=True)), one(people(*own))
    four = one(people(*[scores[:4] for scores in own], shared=True))
    assert (shared.headline_ci, separate.headline_ci, four.headline_ci) == ("two_way", "participant", "participant")
    assert shared.ci_twoway_low is not None
    assert shared.p_holm == shared.p_twoway
    assert separate.p_holm == separate.p_value
    chosen = one(people(*own, shared=True), interval="participant")
    assert (chosen.headline_ci, chosen.ci_twoway_low) == ("participant", None)


def test_a_small_bank_is_flagged() -> None:
    outcomes = people(*[[1, 0, 1]] * 12, shared=True)
    assert "few_questions" in one(outcomes).flags
    assert "few_questions" not in one(outcomes, bank_size=30).flags


def test_first_share_and_balanced_rate_find_someone_who_always_takes_the_first() -> None:
    row = one(people(*[[1.0, 0.0, 1.0, 0.0], [1.0, 0.0, 1.0, 0.0], [1.0, 0.0, 1.0, 0.5]] * 4))
    assert row.first_share == pytest.approx((4 + 4 + 3.5) / 12)
    assert row.first_share_p is not None
    assert row.first_share_p < 0.001
    assert row.focal_first_n == 24
    assert row.position_balanced_win_rate == pytest.approx((1 + 0.5 / 6) / 2)


def test_unknown_sides_leave_position_null() -> None:
    row = one([Outcome(f"p{i}", f"q{i}", "fspo>base", 1.0) for i in range(3)])
    assert (row.focal_first_n, row.first_share, row.first_share_p, row.position_balanced_win_rate) == (
        0,
        None,
        None,
        None,
    )


def test_leaving_one_out_gives_the_range() -> None:
    row = one(people([1, 1], [0, 0], [1, 0]))
    assert (row.loo_min, row.loo_max) == (0.25, 0.75)


def test_void_comparisons_bound_the_rate() -> None:
    outcomes = people([1, 1, 0], [1, 0, 0.5])
    plan = [Planned(o.question, o.comparison, o.domain) for o in outcomes]
    plan += [Planned("q9", "fspo>base", "d0", void=True)] * 2 + [Planned("q9", "fspo>sft", "d0", void=True)]
    row = one(outcomes, planned=plan)
    assert (row.n_planned, row.n_void) == (8, 2)
    assert (row.bound_low, row.bound_high) == pytest.approx((3.5 / 8, 5.5 / 8))
    unknown = one(outcomes)
    assert (unknown.n_planned, unknown.n_void, unknown.bound_low) == (None, None, None)


def test_every_configured_row_is_there_even_if_empty() -> None:
    rows = table(
        people([1, 0], [1, 1]),
        comparisons=["fspo>base", "fspo>sft"],
        primary=["fspo>base"],
        scopes=("all", "domain", "question"),
        domains=["d0", "d1", "d2"],
        questions=["q0-0", "lost"],
    )
    assert [(r.baseline, r.scope, r.scope_value, r.n_judgments) for r in rows] == [
        ("base", "all", None, 4), ("base", "domain", "d0", 2), ("base", "domain", "d1", 2), ("base", "domain", "d2", 0),
        ("base", "question", "q0-0", 1), ("base", "question", "lost", 0),
        ("sft", "all", None, 0), ("sft", "domain", "d0", 0), ("sft", "domain", "d1", 0), ("sft", "domain", "d2", 0),
        ("sft", "question", "q0-0", 0), ("sft", "question", "lost", 0),
    ]  # fmt: skip
    assert rows[3].flags == ("no_data",)
    assert rows[6].flags == ("no_data", "missing_arm")


def test_p_values_belong_to_the_whole_and_holm_to_the_primary_ones() -> None:
    outcomes = [
        *people(*[[1, 1, 0], [1, 1, 1], [1, 0, 1]] * 4),
        *people(*[[1, 0, 0.5], [1.0, 1, 0]] * 6, comparison="fspo>sft"),
        *people(*[[1, 0, 1], [0, 1, 0]] * 6, comparison="fspo>donor"),
    ]
    rows = table(
        outcomes,
        comparisons=["fspo>base", "fspo>sft", "fspo>donor"],
        primary=["fspo>base", "fspo>sft"],
        scopes=("all", "domain"),
    )
    whole = {row.baseline: row for row in rows if row.scope == "all"}
    assert whole["base"].p_value is not None
    assert whole["base"].p_holm == pytest.approx(min(1, 2 * whole["base"].p_value))
    assert whole["sft"].p_holm is not None
    assert whole["donor"].p_value is not None
    assert whole["donor"].p_holm is None
    assert all((r.p_value, r.p_holm, r.p_twoway, r.sign_test_p) == (None,) * 4 for r in rows if r.scope == "domain")


def test_the_study_and_its_level_are_in_every_row() -> None:
    study = Study("demo", "abc", "2030-01-01T00:00:00Z", "per_protocol")
    wide, narrow = one(people([1, 0], [1, 1], [0, 1]), study=study), one(people([1, 0], [1, 1], [0, 1]), alpha=0.2)
    assert (wide.study_id, wide.config_hash, wide.data_cutoff, wide.analysis_set) == (
        "demo", "abc", "2030-01-01T00:00:00Z", "per_protocol",
    )  # fmt: skip
    assert narrow.ci_level == pytest.approx(0.8)
    assert wide.ci_low is not None
    assert narrow.ci_low is not None
    assert wide.ci_low < narrow.ci_low


@pytest.mark.parametrize("score", [float("nan"), 2, -1, 0.7, True, "1", None])
def test_any_other_score_is_refused_and_never_coerced(score: object) -> None:
    with pytest.raises(OutcomeError, match=r"a score is 0, 0\.5 or 1"):
        Outcome("ada", "q", "fspo>base", score)  # type: ignore[arg-type]


@pytest.mark.parametrize("comparison", ["fspo", "fspo>", ">base", "a>b>c", "fspo>fspo", ""])
def test_a_malformed_comparison_is_refused(comparison: str) -> None:
    with pytest.raises(OutcomeError, match="treatment>baseline"):
        Outcome("ada", "q", comparison, 1)


def test_nobody_and_nothing_are_refused() -> None:
    with pytest.raises(OutcomeError, match="no participant"):
        Outcome("", "q", "fspo>base", 1)
    with pytest.raises(OutcomeError, match="no question"):
        Outcome("ada", "", "fspo>base", 1)


def test_what_the_table_does_not_list_is_refused() -> None:
    with pytest.raises(OutcomeError, match="fspo>sft"):
        one(people([1], comparison="fspo>sft"))
    with pytest.raises(OutcomeError, match="primary"):
        table([], comparisons=["fspo>base"], primary=["fspo>sft"])


def test_the_text_table_shows_every_rate_with_its_interval_and_n() -> None:
    rows = table(people(*[[1.0, 0, 1], [1, 1, 0.5]] * 6), comparisons=["fspo>base", "fspo>sft"], primary=["fspo>base"])
    text = render_table(rows)
    assert rows[0].headline is not None
    assert f"[{rows[0].headline[0]:.3f}, {rows[0].headline[1]:.3f}]" in text
    base, sft = (line for line in text.splitlines() if line.startswith("fspo >"))
    assert "12 " in base
    assert "36 " in base
    assert "missing_arm" in sft
    assert "0.000" not in sft
    assert render_table([]) == "No comparisons.\n"


def test_json_has_every_column_and_null_for_what_is_missing() -> None:
    loaded = json.loads(to_json([one([])]))
    assert list(loaded[0]) == list(COLUMNS)
    assert loaded[0]["win_rate"] is None
    assert loaded[0]["flags"] == ["no_data", "missing_arm"]
