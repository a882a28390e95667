"""The bundled model's tokenizer: byte-level BPE on the world's text.

The fixed lines of the FSPO layout are one token each, and so are the world's phrases: lead-ins, the fixed parts of
sentences and questions, and the names of its subjects. An answer is then some fifteen tokens long, and examples a
second decide what a small model learns in context. Everything else falls back to pieces of words and in the end to
bytes, so that any text survives unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from inference import prompts
from inference.world.forms import EXPLANATIONS, FORMS, OPEN, REVIEWS, Idea, ideas
from inference.world.forms_users import LEVEL_CLAUSES, OPENING, REVIEW_CLAUSES, VIEW_CLAUSES
from inference.world.subjects import ASKED, SUBJECTS, Subject


class ForeignTokenizerError(ValueError):
    """The tokenizer cuts the phrases of the synthetic world into pieces; the message says which phrase."""


END, PAD = "<|end|>", "<|pad|>"
LAYOUT = (
    "# Example ",
    "# Task\n",
    prompts.ZERO_SHOT_TASK,
    prompts.FEW_SHOT_TASK,
    prompts.RATIONALE_TASK,
    prompts.QUESTION_HEADING,
    prompts.PREFERRED_HEADING,
    prompts.DISPREFERRED_HEADING,
    prompts.DESCRIPTION_HEADING,
)


def phrases() -> tuple[str, ...]:
    """The phrase tokens: openings, predicates, clauses of descriptions, and the fixed parts of questions."""
    found: list[str] = [OPENING]
    for aspects in FORMS.values():
        for number, forms in enumerate(aspects.values()):
            for opening in forms.openings:
                found += _pieces(opening if number == 0 else f" {opening}")
            found += [f" {predicate}" for predicates in forms.predicates.values() for predicate in predicates]
    for clauses in (REVIEW_CLAUSES, LEVEL_CLAUSES, VIEW_CLAUSES):
        found += [f" {clause}" for clause in clauses.values()]
    found += [piece for forms in ASKED.values() for form in forms for piece in _pieces(form)]
    return tuple(sorted({phrase for phrase in found if len(phrase.strip()) > 1}))


def name_tokens(tokenizer: Any) -> dict[int, Subject]:
    """Token -> subject: a name within a sentence is one token. Raises ForeignTokenizerError where it is not."""
    return {_only(subject.name, tokenizer): subject for subject in SUBJECTS}


def phrase_tokens(tokenizer: Any) -> dict[int, Idea]:
    """Token -> idea, for the phrases that say one. Raises ForeignTokenizerError when one is no single token."""
    return {
        _only(phrase, tokenizer): idea
        for idea in ideas()
        for phrase in FORMS[idea.domain][idea.aspect].predicates[idea.value]
    }


def clause_tokens(tokenizer: Any) -> dict[int, list[Idea]]:
    """Token -> the ideas that its reader likes, for the clauses of descriptions; how long a review is, is no idea.

    Raises ForeignTokenizerError when a clause is no single token.
    """
    told: dict[str, list[Idea]] = {}
    for (respect, sign), clause in REVIEW_CLAUSES.items():
        told[clause] = [one for one in ideas() if (one.domain, respect, one.value) == (REVIEWS, "valence", sign)]
    for level, clause in LEVEL_CLAUSES.items():
        told[clause] = [one for one in ideas() if (one.domain, one.value) == (EXPLANATIONS, level)]
    for (aspect, view), clause in VIEW_CLAUSES.items():
        told[clause] = [Idea(OPEN, aspect, view)]
    return {_only(clause, tokenizer): liked for clause, liked in told.items()}


@cache
def idea_tokens(tokenizer: Any) -> frozenset[int]:
    """The tokens that say an idea of an answer or of a description."""
    return frozenset({*phrase_tokens(tokenizer), *clause_tokens(tokenizer)})


def _only(phrase: str, tokenizer: Any) -> int:
    numbers = tokenizer(f" {phrase}", add_special_tokens=False)["input_ids"]
    if len(numbers) != 1:
        raise ForeignTokenizerError(
            f"the tokenizer cuts {phrase!r} into {len(numbers)} tokens: it is not of the synthetic world, so leave "
            "`words_anew` and `learn` out of the stages, or take a model that was grown from nothing"
        )
    return int(numbers[0])


def train_tokenizer(texts: Iterable[str], *, vocabulary: int, context: int) -> PreTrainedTokenizerFast:
    """A lossless tokenizer of at most `vocabulary` tokens; `context` is the model's length in tokens.

    Any text decodes to the same bytes, since every byte is in the alphabet. No token is added in front.
    """
    added = [*LAYOUT, *phrases(), *(f" {subject.name}" for subject in SUBJECTS)]
    tokenizer = Tokenizer(models.BPE())
    # Digits stand alone: numbers are then few tokens and none is rare.
    digits = pre_tokenizers.Split(Regex(r"\d|\n"), behavior="isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - len(added),
        special_tokens=[END, PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in added])
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        eos_token=END,
        pad_token=PAD,
        padding_side="left",
        model_max_length=context,
        clean_up_tokenization_spaces=False,
    )


def _pieces(form: str) -> Iterator[str]:
    """The fixed text between the slots of a form. The blank before a slot belongs to what fills it."""
    for piece in re.split(r" \{\w+\}", form):
        if piece:
            yield piece
