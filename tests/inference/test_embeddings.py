"""A new model begins with wordings of one idea and names of one kind alike, and with nothing else than noise."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from inference.training.embeddings import begin_words
from inference.training.recipe import Shape
from inference.training.tokenizer import ForeignTokenizerError, clause_tokens, name_tokens, phrase_tokens
from inference.training.train import new_model
from inference.world.subjects import SUBJECTS


@pytest.fixture(scope="module")
def fresh() -> tuple[Any, Any]:
    shape = Shape(vocabulary=2560, hidden=64, feed_forward=64, layers=1, heads=2, context=512)
    return new_model(shape, 1)


def test_wordings_of_an_idea_are_alike_and_opposite_views_are_not(fresh: tuple[Any, Any]) -> None:
    model, tokenizer = fresh
    weights = torch.nn.functional.normalize(model.get_input_embeddings().weight.detach(), dim=1)
    ideas = phrase_tokens(tokenizer)
    same, opposite, other = [], [], []
    for one, idea in ideas.items():
        for two, second in ideas.items():
            if one < two and idea.domain == second.domain == "open-ended":
                closeness = float(weights[one] @ weights[two])
                kind = same if idea == second else opposite if idea.aspect == second.aspect else other
                kind.append(closeness)
    assert min(same) > 0.6
    assert sum(opposite) / len(opposite) < 0.2
    assert abs(sum(other) / len(other)) < 0.1


def test_names_of_one_kind_are_akin_and_every_name_is_its_own(fresh: tuple[Any, Any]) -> None:
    model, tokenizer = fresh
    weights = torch.nn.functional.normalize(model.get_input_embeddings().weight.detach(), dim=1)
    names = name_tokens(tokenizer)
    assert len(names) == len(SUBJECTS)
    films = [token for token, subject in names.items() if subject.kind == "film"]
    topics = [token for token, subject in names.items() if subject.kind == "topic"]
    among = (weights[films] @ weights[films].T).fill_diagonal_(float("nan"))
    assert 0.2 < float(among.nanmean()) < 0.6
    assert float(among.nan_to_num(0).max()) < 0.9
    assert abs(float((weights[films] @ weights[topics].T).mean())) < 0.25


def test_the_spread_is_that_of_the_other_tokens(fresh: tuple[Any, Any]) -> None:
    model, tokenizer = fresh
    weights = model.get_input_embeddings().weight.detach()
    chosen = torch.tensor(sorted({**phrase_tokens(tokenizer), **name_tokens(tokenizer), **clause_tokens(tokenizer)}))
    rest = torch.tensor([n for n in range(len(weights)) if n not in set(chosen.tolist())])
    assert float(weights[chosen].std()) == pytest.approx(float(weights[rest].std()), rel=0.1)


def test_a_clause_is_akin_to_the_ideas_that_it_tells(fresh: tuple[Any, Any]) -> None:
    model, tokenizer = fresh
    weights = torch.nn.functional.normalize(model.get_input_embeddings().weight.detach(), dim=1)
    phrases, clauses = phrase_tokens(tokenizer), clause_tokens(tokenizer)
    assert len(clauses) == 17
    for clause, told in clauses.items():
        own = [float(weights[clause] @ weights[token]) for token, idea in phrases.items() if idea in told]
        others = [float(weights[clause] @ weights[token]) for token, idea in phrases.items() if idea not in told]
        assert not own or sum(own) / len(own) > 0.2 + sum(others) / len(others)


def test_words_that_became_one_begin_anew_and_nothing_else_changes(fresh: tuple[Any, Any]) -> None:
    model, tokenizer = copy.deepcopy(fresh[0]), fresh[1]
    weights = model.get_input_embeddings().weight.detach()
    words, before = sorted({**name_tokens(tokenizer), **clause_tokens(tokenizer)}), weights.clone()
    weights[words] = 3 * weights[words[0]].repeat(len(words), 1)
    begin_words(model, tokenizer, 1)
    apart = torch.nn.functional.normalize(weights[words], dim=1)
    assert float((apart @ apart.T).fill_diagonal_(0).max()) < 0.9
    rest = [number for number in range(len(weights)) if number not in set(words)]
    assert torch.equal(weights[rest], before[rest])


def test_a_tokenizer_of_another_world_is_refused() -> None:
    class Letters:
        def __call__(self, text: str, add_special_tokens: bool) -> dict[str, list[int]]:
            return {"input_ids": [ord(letter) for letter in text]}

    with pytest.raises(ForeignTokenizerError, match="it is not of the synthetic world, so leave `words_anew`"):
        phrase_tokens(Letters())
