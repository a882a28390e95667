"""The rows of a stage: which part, how many shots and which user, drawn from the row's own random stream.

Row i depends on seed, stage, number of processes and i alone, so that a run can be repeated, resumed and its rows
inspected. Rows of one batch are of one part and have the same number of shots, so that little of a batch is padding.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from inference.prompts import DISPREFERRED_HEADING, PREFERRED_HEADING
from inference.training.branches import merge
from inference.training.curriculum import Row, draw_rows
from inference.training.fewshot import IGNORED, Example, TooLongError, draw_example, encode
from inference.training.preferences import Labelled
from inference.training.recipe import Part, Stage
from inference.training.tokenizer import idea_tokens

Encoded = dict[str, list[Any]]


@dataclass(frozen=True)
class Rows:
    """What draws the rows of one stage. `context` is the model's length in tokens.

    `processes` train together: their batches of one step are of one part, too, or the one with less to read would wait.
    """

    stage: Stage
    seed: int
    tokenizer: PreTrainedTokenizerBase
    context: int
    users: Sequence[Labelled] = ()
    processes: int = 1

    @cached_property
    def _domains(self) -> list[list[Labelled]]:
        """The users by domain: each counts alike, however many users it has."""
        found: dict[str, list[Labelled]] = {}
        for user in self.users:
            found.setdefault(user.domain, []).append(user)
        return list(found.values())

    def _drawn(self, index: int) -> tuple[Part, int, random.Random]:
        step = index // (self.stage.batch * self.processes)
        of_batch = random.Random(f"{self.seed}/{self.stage.name}/batch/{step}")
        (part,) = of_batch.choices(self.stage.parts, [part.share for part in self.stage.parts])
        return part, of_batch.choice(part.shots), random.Random(f"{self.seed}/{self.stage.name}/{index}")

    def fits(self, text: str) -> bool:
        """Whether a prompt with its answer and the end token fits the context."""
        return len(self.tokenizer(text, add_special_tokens=False)["input_ids"]) < self.context

    def grown(self, index: int) -> Encoded:
        """Row `index` of a grow stage, with labels on what its part says is learnt.

        Of the preferred answers among the shots all but the first, before which nothing says what its reader likes.
        """
        part, shots, rng = self._drawn(index)
        counts = [*(count for count in part.also if count < shots), shots]
        rows = draw_rows(part.kind, counts, part.ease(index / self.stage.rows), rng, part.form)
        written = [
            (encode_densely if part.in_place else encode)(row.prompt, row.target, self.tokenizer) for row in rows
        ]
        longest = max(len(one["input_ids"]) for one in written)
        if longest > self.context:
            raise TooLongError(
                f"row {index} of stage {self.stage.name!r} has {longest} tokens, more than the "
                f"model's context of {self.context}: lower the stage's shots or raise model.shape.context"
            )
        encoded = merge(written)
        if part.learn != "all":
            ideas = idea_tokens(self.tokenizer) if part.learn != "names" else frozenset()
            learnt = ideas | (self._named(rows) if part.learn != "ideas" else frozenset())
            encoded["labels"] = [
                label if label in learnt or (label != IGNORED and rng.random() < part.words) else IGNORED
                for label in encoded["labels"]
            ]
        return encoded

    def _named(self, rows: Sequence[Row]) -> frozenset[int]:
        """Tokens of the subjects' names, as they stand within a sentence and at its beginning."""
        spelt = [spelling for row in rows for spelling in (f" {row.name}", row.name)]
        tokens = (self.tokenizer(name, add_special_tokens=False)["input_ids"] for name in spelt)
        return frozenset(token for some in tokens for token in some)

    def example(self, index: int) -> Example:
        """Row `index` of any other stage, as text."""
        part, shots, rng = self._drawn(index)
        return draw_example(rng.choice(rng.choice(self._domains)), part.kind, shots, rng, self.fits)

    def tuned(self, index: int) -> Encoded:
        """Row `index` of an sft stage: only the preferred answer is learnt, never a shot, never a rejected one."""
        example = self.example(index)
        return encode(example.prompt, example.chosen, self.tokenizer)


def lazily(count: int, row: Callable[[int], Encoded]) -> Dataset:
    """A dataset of `count` rows, each made when it is asked for."""

    def make(batch: dict[str, list[int]]) -> dict[str, list[list[Any]]]:
        made = [row(index) for index in batch["row"]]
        return {name: [one.get(name, []) for one in made] for name in ("input_ids", "labels", "branches")}

    return Dataset.from_dict({"row": list(range(count))}).with_transform(make)


def as_pairs(examples: Sequence[Example]) -> Dataset:
    """Examples in TRL's explicit-prompt form."""
    rows: list[dict[str, Any]] = [{"prompt": e.prompt, "chosen": e.chosen, "rejected": e.rejected} for e in examples]
    return Dataset.from_list(rows)


def encode_densely(prompt: str, target: str, tokenizer: PreTrainedTokenizerBase) -> Encoded:
    """As `encode`, and the preferred answers of all shots but the first are labelled too."""
    encoded = encode(prompt, target, tokenizer)
    offsets = tokenizer(prompt, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    spans = iter(_preferred_spans(prompt)[1:])
    start, end = next(spans, (len(prompt), len(prompt)))
    for number, (first, last) in enumerate(offsets):
        while first >= end and end < len(prompt):
            start, end = next(spans, (len(prompt), len(prompt)))
        if start <= first and last <= end:
            encoded["labels"][number] = encoded["input_ids"][number]
    assert all(label in (IGNORED, token) for label, token in zip(encoded["labels"], encoded["input_ids"], strict=True))
    return encoded


def _preferred_spans(prompt: str) -> list[tuple[int, int]]:
    """Where the preferred answers of the shots stand, without their headings, newline included."""
    spans, place = [], 0
    while (heading := prompt.find(PREFERRED_HEADING, place)) >= 0:
        start = heading + len(PREFERRED_HEADING)
        place = prompt.index(DISPREFERRED_HEADING, start)
        spans.append((start, place))
    return spans
