"""The sampling rule draws from the renormalised nucleus, and a choice it calls sure survives rounding noise."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from inference.engines import sampling
from inference.engines.sampling import Rule, choose, gumbel

TIE = 0.05


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Two threads that compete for a busy core make small tensors many times slower."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def rule(rows: int, temperature: float, top_p: float) -> Rule:
    return Rule(torch.full((rows,), temperature), torch.full((rows,), top_p))


def noise(rows: int, vocabulary: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([gumbel(vocabulary, generator) for _ in range(rows)])


def nucleus(logits: torch.Tensor, temperature: float, top_p: float) -> torch.Tensor:
    """The textbook distribution: the fewest most probable tokens that hold `top_p`, renormalised."""
    probabilities = torch.softmax(logits / temperature, 0)
    kept = torch.zeros_like(probabilities)
    total = 0.0
    for token in probabilities.argsort(descending=True).tolist():
        if total >= top_p:
            break
        kept[token] = probabilities[token]
        total += float(probabilities[token])
    return kept / kept.sum()


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (1.0, 0.8), (0.5, 0.95), (2.0, 0.3), (1.0, 0.01)])
def test_tokens_are_drawn_from_the_renormalised_nucleus(temperature: float, top_p: float) -> None:
    logits = torch.tensor([2.0, 0.3, -1.0, 1.5, 0.0, 0.7, -0.5, 1.1])
    rows = 20_000
    tokens, _ = choose(logits.expand(rows, -1), noise(rows, 8), rule(rows, temperature, top_p), tie=0.0)
    drawn = torch.bincount(tokens, minlength=8) / rows
    expected = nucleus(logits, temperature, top_p)
    assert torch.allclose(drawn, expected, atol=0.015)  # four standard errors of a share
    assert drawn[expected == 0].sum() == 0


def test_greedy_is_the_most_probable_token_whatever_the_noise() -> None:
    logits = torch.randn(50, 1000)
    tokens, _ = choose(logits, noise(50, 1000), rule(50, 0.0, 0.9), tie=0.0)
    assert tokens.tolist() == logits.argmax(1).tolist()


def test_the_shortlist_and_the_whole_vocabulary_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    logits = 4 * torch.randn(200, 2000, generator=torch.Generator().manual_seed(1))
    short = choose(logits, noise(200, 2000), rule(200, 0.9, 0.9), tie=TIE)
    monkeypatch.setattr(sampling, "SHORTLIST", 2000)
    whole = choose(logits, noise(200, 2000), rule(200, 0.9, 0.9), tie=TIE)
    assert torch.equal(short[0], whole[0])
    assert torch.equal(short[1], whole[1])


@pytest.mark.parametrize(("temperature", "top_p"), [(0.0, 1.0), (0.7, 0.95), (1.3, 0.5), (1.0, 1.0), (0.2, 0.9)])
def test_a_sure_choice_survives_noise_and_only_unsure_ones_turn(temperature: float, top_p: float) -> None:
    rows, vocabulary = 1500, 40
    generator = torch.Generator().manual_seed(2)
    # Rounded logits: many near ties, so that edges of the nucleus and of the race are really met.
    logits = (torch.randn(rows, vocabulary, generator=generator) * 8).round() / 8
    race = noise(rows, vocabulary, seed=3)
    tokens, sure = choose(logits, race, rule(rows, temperature, top_p), tie=TIE)
    turned = torch.zeros(rows, dtype=torch.bool)
    for _ in range(15):
        shaken = logits + (torch.rand(rows, vocabulary, generator=generator) * 2 - 1) * TIE / 4
        turned |= choose(shaken, race, rule(rows, temperature, top_p), tie=TIE)[0] != tokens
    assert not (turned & sure).any()
    assert turned.any(), "the noise never turned a choice: this test shows nothing"
    assert sure.float().mean() > 0.3
