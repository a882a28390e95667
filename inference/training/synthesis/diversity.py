"""How different the answers to one prompt are: pure functions of texts; no texts give None, never 0."""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")


@dataclass(frozen=True, slots=True)
class Diversity:
    """Means over prompts: distinct-1, -2 and -3, and pairwise similarity of the answers to a prompt."""

    prompts: int
    answers: int
    distinct_1: float | None
    distinct_2: float | None
    distinct_3: float | None
    similarity: float | None


def diversity(groups: Sequence[Sequence[str]]) -> Diversity:
    """Of the answers to several prompts, one group of texts a prompt."""
    similarities = pairwise_similarity(groups)
    one, two, three = (_mean([distinct_n(texts, n) for texts in groups]) for n in (1, 2, 3))
    return Diversity(len(groups), sum(map(len, groups)), one, two, three, _mean(similarities))


def words(text: str) -> list[str]:
    """Lower-case words; punctuation separates and is dropped."""
    return _WORD.findall(text.lower())


def distinct_n(texts: Sequence[str], n: int) -> float | None:
    """Different n-grams of words as a share of all n-grams of the texts together (Li et al., arXiv 1510.03055)."""
    grams = [gram for text in texts for gram in zip(*(words(text)[i:] for i in range(n)), strict=False)]
    return len(set(grams)) / len(grams) if grams else None


def pairwise_similarity(groups: Sequence[Sequence[str]]) -> list[float | None]:
    """Mean cosine between every two texts of a group, in TF-IDF vectors of single words; 1 for equal texts.

    Weights: count x (1 + ln((1 + N) / (1 + df))), where N texts of all groups together are the corpus and df of them
    hold the word; vectors of length 1. The formula is that of scikit-learn's TfidfVectorizer. Word overlap, not
    meaning: not comparable with the embedding similarities of the paper, only with itself.
    """
    counted = [[Counter(words(text)) for text in texts] for texts in groups]
    holding = Counter(word for texts in counted for text in texts for word in text)
    total = sum(map(len, groups))
    weight = {word: 1 + math.log((1 + total) / (1 + df)) for word, df in holding.items()}
    return [_mean_cosine(texts, weight) for texts in counted]


def _mean_cosine(texts: Sequence[Counter[str]], weight: dict[str, float]) -> float | None:
    texts = [text for text in texts if text]
    if len(texts) < 2:
        return None
    column = {word: at for at, word in enumerate(sorted({word for text in texts for word in text}))}
    vectors: NDArray[np.float64] = np.zeros((len(texts), len(column)))
    for row, text in enumerate(texts):
        for word, count in text.items():
            vectors[row, column[word]] = count * weight[word]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = vectors @ vectors.T
    return float(np.mean([cosines[a, b] for a, b in itertools.combinations(range(len(texts)), 2)]))


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
