"""The bundled model's tokenizer: byte-level BPE on the world's text.

The fixed lines of the FSPO layout are one token each, and so are runs of up to three words of the world's fixed
phrases: rows are then less than half as long, and examples a second decide what a small model learns. Everything else
falls back to pieces of words and in the end to bytes, so that any text survives unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from inference import prompts
from inference.world.forms import BODIES, LEADS
from inference.world.tastes import TRAITS

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
WORDS_A_TOKEN = 3


def phrases() -> tuple[str, ...]:
    """The multi-word tokens: lead-ins, and bodies cut at their slots and then every three words."""
    opening = next(iter(TRAITS.values()))
    found = [lead if pole in opening else f" {lead}" for pole, leads in LEADS.items() for lead in leads]
    bodies = (body for forms in BODIES.values() for texts in forms.values() for body in texts)
    found += [chunk for body in bodies for chunk in _chunks(f" {body}")]
    return tuple(sorted({phrase for phrase in found if " " in phrase.strip()}))


def train_tokenizer(texts: Iterable[str], *, vocabulary: int, context: int) -> PreTrainedTokenizerFast:
    """A lossless tokenizer of at most `vocabulary` tokens; `context` is the model's length in tokens.

    Any text decodes to the same bytes, since every byte is in the alphabet. No token is added in front.
    """
    added = [*LAYOUT, *phrases()]
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


def _chunks(body: str) -> Iterator[str]:
    for piece in re.split(r"\{\w+\}", body):
        words = re.findall(r" [^ ]+", piece)
        for start in range(0, len(words), WORDS_A_TOKEN):
            yield "".join(words[start : start + WORDS_A_TOKEN])
