"""Diversity and coherence are small pure functions, and what each pipeline step is for shows in its figure."""

from __future__ import annotations

import math
import random
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from inference.training.synthesis.coherence import coherence, cyclic_share, disagreement, label_entropy
from inference.training.synthesis.config import Config
from inference.training.synthesis.diversity import distinct_n, diversity, pairwise_similarity
from inference.training.synthesis.measures import Measures, Panel, save_matrices
from inference.training.synthesis.world_measures import answers_diversity, forget, improve, measure, persona_panels
from inference.training.synthesis.world_source import World
from inference.world import DOMAINS
from inference.world.users import personas

CONFIG = Config.model_validate(
    {
        "seed": 3,
        "source": {"kind": "world", "parts": [{"users": "open-ended", "train": 8}, {"users": "reviews", "train": 8}]},
        "measure": {"users": 12, "questions": 16, "times": 8, "prompts": 20},
    }
)


def labels(*pairs: list[int]) -> np.ndarray:
    """One user, one question: the labels of its three pairs over the times."""
    return np.array(pairs, dtype=np.int8)[None, None]


# --- diversity --------------------------------------------------------------------------------------------------------
def test_distinct_n_is_the_share_of_different_n_grams() -> None:
    assert distinct_n(["a b a b", "A, b!"], 1) == pytest.approx(2 / 6)
    assert distinct_n(["a b a b", "A, b!"], 2) == pytest.approx(2 / 4)
    assert distinct_n(["one"], 2) is None
    assert distinct_n([], 1) is None


def test_similarity_is_one_for_equal_texts_and_zero_without_a_common_word() -> None:
    same, none, alone = pairwise_similarity([["red hat", "Red hat."], ["red hat", "blue coat"], ["red"]])
    assert same == pytest.approx(1)
    assert none == pytest.approx(0)
    assert alone is None


def test_similarity_is_the_cosine_of_tf_idf_vectors_worked_out_by_hand() -> None:
    # Three texts in all; "a" is in three of them (weight 1 + ln(4/4) = 1), "b" and "c" in one (1 + ln(4/2)).
    (found, _) = pairwise_similarity([["a b", "a c"], ["a"]])
    rare = 1 + math.log(2)
    assert found == pytest.approx(1 / (1 + rare**2))


@pytest.mark.parametrize("domain", DOMAINS)
def test_answers_are_less_alike_when_they_are_conditioned(domain: str) -> None:
    on, off = (answers_diversity(domain, CONFIG, conditioned=conditioned) for conditioned in (True, False))
    assert on.similarity is not None
    assert off.similarity is not None
    assert on.similarity < off.similarity - 0.03
    for one, other in (
        (on.distinct_1, off.distinct_1),
        (on.distinct_2, off.distinct_2),
        (on.distinct_3, off.distinct_3),
    ):
        assert one is not None
        assert other is not None
        assert one > other + 0.03


# --- coherence --------------------------------------------------------------------------------------------------------
def test_entropy_is_none_for_one_answer_and_ln_2_for_a_coin() -> None:
    assert label_entropy(labels([1, 1], [-1, -1], [1, 1])) == pytest.approx(0, abs=1e-9)
    assert label_entropy(labels([1, -1], [-1, 1], [1, -1])) == pytest.approx(math.log(2))
    assert label_entropy(labels([0, 0], [0, 1], [0, 0])) is None


def test_a_coin_tossed_eight_times_gives_the_entropy_that_the_docstring_says() -> None:
    shares = [math.comb(8, k) / 2**8 for k in range(9)]
    entropy = sum(p * -sum(q * math.log(q) for q in (k / 8, 1 - k / 8) if q) for k, p in enumerate(shares))
    assert entropy == pytest.approx(0.63, abs=0.005)


def test_circles_are_found_in_both_directions_and_nothing_else_is_one() -> None:
    # (a, b), (a, c), (b, c)
    assert cyclic_share(labels([1], [-1], [1])) == 1
    assert cyclic_share(labels([-1], [1], [-1])) == 1
    straight = [(1, 1, 1), (1, 1, -1), (-1, 1, 1), (-1, -1, 1), (1, -1, -1), (-1, -1, -1)]
    assert all(cyclic_share(labels([x], [y], [z])) == 0 for x, y, z in straight)
    assert cyclic_share(labels([1], [0], [1])) is None


def test_a_coin_makes_a_quarter_of_the_triads_cyclic() -> None:
    drawn = np.random.default_rng(1).choice([1, -1], size=(10, 200, 3, 2)).astype(np.int8)
    assert cyclic_share(drawn) == pytest.approx(0.25, abs=0.03)


def test_disagreement_is_over_shared_pairs_only() -> None:
    one, opposite, mute, none = [1, 1, -1], [-1, -1, 1], [1, 0, 0], [0, 0, 0]
    matrix = disagreement(np.array([one, opposite, mute, none], dtype=np.int8)[:, None, :, None])
    assert matrix[0, 1] == 1
    assert matrix[0, 2] == 0
    assert matrix[1, 2] == 1
    assert np.isnan(matrix[3]).all()
    assert matrix[0, 0] == 0


def test_no_labels_give_no_figures() -> None:
    found = coherence(np.zeros((2, 1, 3, 4), dtype=np.int8))
    assert (found.entropy, found.cyclic, found.disagreement) == (None, None, None)


# --- what personas are improved for -----------------------------------------------------------------------------------
def test_labels_of_short_personas_contradict_themselves_and_improvement_mends_it() -> None:
    short, better = (coherence(panel.labels) for panel in persona_panels(CONFIG))
    assert short.entropy is not None
    assert better.entropy is not None
    assert short.entropy > 0.2
    assert better.entropy < 0.12
    assert short.cyclic is not None
    assert better.cyclic is not None
    assert short.cyclic > better.cyclic + 0.02


def test_improvement_keeps_what_was_known_and_adds_views() -> None:
    whole = random.Random(2).choice(personas("train"))
    short = forget(whole)
    better = improve(short, seed=5)
    assert sum(map(bool, short.importances)) == 1
    assert sum(map(bool, better.importances)) > 1
    for at, importance in enumerate(short.importances):
        if importance:
            assert (better.views[at], better.importances[at]) == (whole.views[at], whole.importances[at])


# --- what is written --------------------------------------------------------------------------------------------------
def test_the_figure_is_the_same_bytes_again_and_names_every_user(tmp_path: Path) -> None:
    panel = Panel("reviews", ("a-one", "b-two"), np.ones((2, 1, 3, 2), dtype=np.int8))
    for name in ("one.svg", "two.svg"):
        save_matrices([panel], tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    ET.parse(tmp_path / "one.svg")
    save_matrices([panel] * 3, tmp_path / "three.png")
    assert (tmp_path / "three.png").read_bytes().startswith(b"\x89PNG")


def test_measures_are_written_as_json_table_and_figure(tmp_path: Path) -> None:
    source = World(CONFIG, CONFIG.source).source  # type: ignore[arg-type]
    measure(CONFIG, source).save(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"measures.json", "measures.md", "disagreement.svg"}
    table = (tmp_path / "measures.md").read_text()
    assert "| open-ended, not by view |" in table
    assert "| open-ended, after improvement |" in table


def test_nothing_measured_is_said_and_not_zero(tmp_path: Path) -> None:
    Measures(diversity={"none": diversity([[]])}).save(tmp_path)
    assert "| none | 1 | 0 | n/a | n/a | n/a | n/a |" in (tmp_path / "measures.md").read_text()
