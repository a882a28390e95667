"""The sampling rule: per-row temperature, top-p and randomness, and whether rounding noise could change the choice.

A token is chosen by a race: every token of the nucleus scores log-probability plus Gumbel noise of the row's own
generator, and the best wins, which is exactly a draw from the renormalised nucleus (the Gumbel-max trick; nucleus:
Holtzman et al., arXiv 1904.09751). Noise belongs to a token, not to a place in a sorted list, so a tiny change of the
logits changes the winner only when two scores, or the nucleus's edge, are that close. Exactly then the choice is
reported as unsure, and the caller decides it from logits that no other row can have touched.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

# Candidates looked at before the whole vocabulary is sorted; a nucleus is rarely wider.
SHORTLIST = 256


@dataclass(frozen=True, slots=True)
class Rule:
    """Decoding parameters of a batch: `temperature` and `top_p` are (rows,), temperature 0 is greedy."""

    temperature: Tensor
    top_p: Tensor

    def of(self, rows: Tensor) -> Rule:
        """The rule of some rows, by index."""
        return Rule(self.temperature[rows], self.top_p[rows])


def gumbel(vocabulary: int, generator: torch.Generator) -> Tensor:
    """Standard Gumbel noise (vocabulary,), one draw a token, float32 on the generator's device."""
    uniform = torch.rand(vocabulary, generator=generator, device=generator.device)
    return -torch.log(-torch.log(uniform.clamp(min=2.0**-25, max=1 - 2.0**-24)))


def choose(logits: Tensor, noise: Tensor, rule: Rule, *, tie: float) -> tuple[Tensor, Tensor]:
    """Choose a token a row: `logits` and `noise` (rows, vocabulary) -> tokens (rows,) and sure (rows,) bool.

    Unsure means that a change of some logits by less than about `tie` could change the choice.
    """
    greedy = rule.temperature == 0
    scale = torch.where(greedy, torch.ones_like(rule.temperature), rule.temperature).unsqueeze(1)
    margin = tie / scale
    logp = torch.log_softmax(logits.float() / scale, dim=1)
    whole = (greedy | (rule.top_p >= 1)).unsqueeze(1)
    limit = torch.where(whole, torch.full_like(margin, torch.inf), rule.top_p.unsqueeze(1))
    top, order = _candidates(logp, limit, margin, greedy)
    before = top.exp().cumsum(1) - top.exp()
    inside = before < limit
    inside[:, 0] = True
    score = top + torch.where(greedy.unsqueeze(1), torch.zeros_like(top), noise.gather(1, order))
    best, winner = score.masked_fill(~inside, -torch.inf).max(1, keepdim=True)
    maybe, certain = _edge(top, before, limit, margin)
    rival = score.masked_fill(~maybe, -torch.inf).scatter(1, winner, -torch.inf).amax(1, keepdim=True)
    sure = certain.gather(1, winner) & (best - rival > margin)
    return order.gather(1, winner).squeeze(1), sure.squeeze(1)


def _candidates(logp: Tensor, limit: Tensor, margin: Tensor, greedy: Tensor) -> tuple[Tensor, Tensor]:
    """Log-probabilities in falling order and their tokens: a shortlist when every row's nucleus lies within it."""
    vocabulary = logp.shape[1]
    if vocabulary > SHORTLIST:
        top, order = logp.topk(SHORTLIST, dim=1)
        covered = top.exp().sum(1, keepdim=True) > limit + margin
        if bool((covered.squeeze(1) | greedy).all()):
            return top, order
    return logp.sort(dim=1, descending=True)


def _edge(top: Tensor, before: Tensor, limit: Tensor, margin: Tensor) -> tuple[Tensor, Tensor]:
    """Which tokens noise could bring into the nucleus (`maybe`) and which it cannot put out of it (`certain`)."""
    maybe = before < limit + margin
    certain = before < limit - margin
    maybe[:, 0] = True
    lowest_in = top.masked_fill(~maybe, torch.inf).amin(1, keepdim=True)
    highest_out = top.masked_fill(certain, -torch.inf).amax(1, keepdim=True)
    maybe |= top >= lowest_in - margin
    certain &= top > highest_out + margin
    return maybe, certain
