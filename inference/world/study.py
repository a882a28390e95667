"""Write the world's question and candidate banks for a study folder.

    python -m inference.world.study studies/demo [--seed 7]

The banks are a function of the world and the seed alone: running it again changes nothing.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from inference.world.answers import LONG, SHORT, Plan, level_plan, review_plan, views_plan, write
from inference.world.forms import DOMAINS, EXPLANATIONS, REVIEWS
from inference.world.judge import sentences_of
from inference.world.subjects import SUBJECTS, Question, Split, questions_about
from inference.world.users import LEVELS, VIEWS

ELICITED = 9
JUDGED_SEEN, JUDGED_HELD_OUT = 5, 5

Row = dict[str, str]


def banks(seed: int) -> tuple[list[Row], list[Row]]:
    """The rows of questions.jsonl and candidates.jsonl, every subject used once and held-out ones only to be judged."""
    questions: list[Row] = []
    candidates: list[Row] = []
    for domain in DOMAINS:
        rng = random.Random(f"{seed}/{domain}")
        seen = _subjects(domain, rng, held_out=False)
        shown = [_one(subject, "train", rng) for subject in seen[:ELICITED]]
        judged = [_one(subject, "questions", rng) for subject in seen[ELICITED : ELICITED + JUDGED_SEEN]]
        judged += [_one(s, "subjects", rng) for s in _subjects(domain, rng, held_out=True)[:JUDGED_HELD_OUT]]
        for number, question in enumerate(shown):
            row = _row(f"{domain}-show-{number + 1:02}", "elicit", question)
            questions.append(row)
            candidates.extend(_candidates(row["id"], number, question, rng))
        questions.extend(_row(f"{domain}-ask-{n:02}", "judge", q) for n, q in enumerate(judged, start=1))
    return questions, candidates


def _subjects(domain: str, rng: random.Random, *, held_out: bool) -> list[int]:
    numbers = [n for n, s in enumerate(SUBJECTS) if s.domain == domain and s.held_out == held_out]
    return rng.sample(numbers, len(numbers))


def _one(subject: int, split: Split, rng: random.Random) -> Question:
    return rng.choice([q for q in questions_about(SUBJECTS[subject]) if q.split == split])


def _row(name: str, use: str, question: Question) -> Row:
    return {"id": name, "use": use, "domain": question.domain, "topic": question.subject.name, "text": question.text}


def _candidates(question_id: str, number: int, question: Question, rng: random.Random) -> Iterator[Row]:
    used: set[str] = set()
    plans = list(_plans(question.domain, number, rng))
    rng.shuffle(plans)
    for letter, (viewpoint, plan) in zip("abcd", plans, strict=True):
        text = _unlike(question, plan, used, rng)
        yield {"id": f"{question_id}-{letter}", "question": question_id, "text": text, "viewpoint": viewpoint}


def _plans(domain: str, number: int, rng: random.Random) -> Iterator[tuple[str, Plan]]:
    """Four candidates that differ in one respect or in two: any pair of them tells something, four of six one thing."""
    if domain == REVIEWS:
        for valence, (length, sizes) in itertools.product((1, -1), (("short", SHORT), ("long", LONG))):
            name = f"{'praise' if valence > 0 else 'blame'}-{length}"
            yield name, review_plan(valence, rng.choice(sizes), rng, stray=0)
    elif domain == EXPLANATIONS:
        for level in rng.sample(LEVELS, 4):
            yield f"level-{level}", level_plan(level, rng, shifts=(0,))
    else:
        turned = sorted(itertools.combinations(VIEWS, 2))[number % 6]
        views = {view: rng.choice((1, -1)) for view in VIEWS}
        for flips in itertools.product((1, -1), repeat=2):
            taken = {**views, **{view: views[view] * flip for view, flip in zip(turned, flips, strict=True)}}
            yield (
                "".join("+" if taken[view] > 0 else "-" for view in VIEWS),
                views_plan([taken[view] for view in VIEWS]),
            )


def _unlike(question: Question, plan: Plan, used: set[str], rng: random.Random) -> str:
    """An answer that shares as few sentences as can be with the question's other candidates."""
    drawn = [write(question, plan, rng) for _ in range(40)]
    text = min(drawn, key=lambda one: sum(_thought(sentence) in used for sentence in sentences_of(one)))
    used |= set(map(_thought, sentences_of(text)))
    return text


def _thought(sentence: str) -> str:
    return " ".join(sentence.split()[-4:])


def save(folder: Path, seed: int) -> None:
    """Write both banks into `folder`; raises OSError when it cannot be written."""
    for name, rows in zip(("questions.jsonl", "candidates.jsonl"), banks(seed), strict=True):
        lines = [json.dumps(row, ensure_ascii=False) for row in rows]
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, write, return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m inference.world.study", description="Write a study's banks.")
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
