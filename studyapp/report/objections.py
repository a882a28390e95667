"""The hostile reviewer's page: what such a reviewer says, and which function answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from studyapp.report import conduct, judging, people, texts
from studyapp.report.answers import Answer
from studyapp.report.evidence import Evidence


@dataclass(frozen=True, slots=True)
class Objection:
    """key: its anchor on the page; says: the reviewer's words; answer: from the evidence, about the main comparison."""

    key: str
    says: str
    answer: Callable[[Evidence], Answer]


OBJECTIONS: tuple[Objection, ...] = (
    Objection("several", "Several comparisons were tried, and the best one is shown.", conduct.several),
    Objection("peeked", "Somebody peeked, and stopped when it looked good.", conduct.peeked),
    Objection("exclusions", "Exclusions were chosen late.", conduct.exclusions),
    Objection("dependent", "Judgments of one person are counted as if they were independent.", conduct.dependent),
    Objection("small", "The effect is too small to matter.", conduct.small),
    Objection("popular", "It is popular taste, not the person's own.", people.popular),
    Objection("few", "One person carries the result.", people.few),
    Objection("majority", "A minority loves it, most people do not.", people.most),
    Objection("leavers", "Those who left would have judged otherwise.", people.leavers),
    Objection("sample", "These people are not the people who matter.", people.sample),
    Objection("guessed", "They guessed which text was made with their choices.", judging.guessed),
    Objection("first", "It was the first one.", judging.first),
    Objection("random", "People clicked at random.", judging.random_clicks),
    Objection("tired", "Late pairs were tired.", judging.tired),
    Objection("learned", "They learned the style of an arm as they went.", judging.learned),
    Objection("waited", "The wait told them which was which.", judging.waited),
    Objection("ties", "Ties were counted to suit.", judging.ties),
    Objection("longer", "The longer text won.", texts.longer),
    Objection("copied", "The texts copied the choices that people had made.", texts.copied),
    Objection("leaks", "The texts gave their origin away.", texts.leaks),
    Objection("path", "The path showed: texts made live differ from texts made in advance.", texts.path),
    Objection("baseline", "One baseline text, or one question, stood for an arm.", texts.one_text),
)


def answered(evidence: Evidence) -> list[tuple[Objection, Answer]]:
    """Every objection with its answer, in order."""
    return [(one, one.answer(evidence)) for one in OBJECTIONS]
