"""Write the world's question and candidate banks for a study folder.

    python -m inference.demoworld.study studies/demo [--seed 7]

The banks are a function of the world and the seed alone: running it again changes nothing.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from inference.demoworld.answers import write
from inference.demoworld.forms import DOMAINS
from inference.demoworld.judge import sentences_of
from inference.demoworld.subjects import SUBJECTS, Question, questions_about
from inference.demoworld.tastes import TRAITS, Taste

ELICITED = 9
JUDGED_SEEN, JUDGED_HELD_OUT = 5, 5

# Four styles as bits (1: the second pole). Four of the six pairs differ in three traits, so that nobody is indifferent
# between them; the other two pairs differ in two.
_SPREAD = ((0, 0, 0, 0), (0, 0, 1, 1), (1, 1, 0, 1), (1, 1, 1, 0))

Row = dict[str, str]


def banks(seed: int) -> tuple[list[Row], list[Row]]:
    """The rows of questions.jsonl and candidates.jsonl, every subject used once and held-out ones only to be judged."""
    questions: list[Row] = []
    candidates: list[Row] = []
    for domain in DOMAINS:
        rng = random.Random(f"{seed}/{domain}")
        seen, held_out = (_one_each(domain, rng, held_out=held_out) for held_out in (False, True))
        for number, question in enumerate(seen[:ELICITED], start=1):
            row = _row(f"{domain}-show-{number:02}", "elicit", question)
            questions.append(row)
            candidates.extend(_candidates(row["id"], question, rng))
        judged = [*seen[ELICITED : ELICITED + JUDGED_SEEN], *held_out[:JUDGED_HELD_OUT]]
        questions.extend(_row(f"{domain}-ask-{n:02}", "judge", q) for n, q in enumerate(judged, start=1))
    return questions, candidates


def _one_each(domain: str, rng: random.Random, *, held_out: bool) -> list[Question]:
    subjects = [s for s in SUBJECTS if s.domain == domain and s.held_out == held_out]
    return [rng.choice(questions_about(subject)) for subject in rng.sample(subjects, len(subjects))]


def _row(name: str, use: str, question: Question) -> Row:
    return {"id": name, "use": use, "domain": question.domain, "topic": question.subject.name, "text": question.text}


def _candidates(question_id: str, question: Question, rng: random.Random) -> Iterator[Row]:
    used: set[str] = set()
    for letter, style in zip("abcd", _styles(rng), strict=True):
        text = _unlike(question, style, used, rng)
        yield {"id": f"{question_id}-{letter}", "question": question_id, "text": text, "viewpoint": style.code}


def _styles(rng: random.Random) -> list[Taste]:
    order = rng.sample(range(len(TRAITS)), len(TRAITS))
    turned = [rng.randrange(2) for _ in TRAITS]
    poles = list(TRAITS.values())
    return [
        Taste(*(poles[trait][bits[order[trait]] ^ turned[trait]] for trait in range(len(TRAITS))))
        for bits in rng.sample(_SPREAD, len(_SPREAD))
    ]


def _unlike(question: Question, style: Taste, used: set[str], rng: random.Random) -> str:
    """An answer that repeats no thought of the question's other candidates; a thought is known by its last words."""
    while True:
        text = write(question, style, rng)
        thoughts = {" ".join(sentence.split()[-3:]) for sentence in sentences_of(text)}
        if not thoughts & used:
            used |= thoughts
            return text


def save(folder: Path, seed: int) -> None:
    """Write both banks into `folder`; raises OSError when it cannot be written."""
    for name, rows in zip(("questions.jsonl", "candidates.jsonl"), banks(seed), strict=True):
        lines = [json.dumps(row, ensure_ascii=False) for row in rows]
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, write, return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m inference.demoworld.study", description="Write a study's banks.")
    parser.add_argument("folder", type=Path, help="the study folder, such as studies/demo")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args(arguments)
    try:
        save(options.folder, options.seed)
    except OSError as error:
        print(f"{options.folder}: cannot be written ({error.strerror}); give an existing folder", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
