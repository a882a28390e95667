"""The small world of the demo study and of the shipped palate-1: sixteen kinds of person, answers of four sentences.

It goes when a model trained on `inference.world` meets its bars (docs/decisions/two-worlds.md).
"""

from inference.demoworld.answers import draw_shot, write
from inference.demoworld.forms import DOMAINS
from inference.demoworld.judge import choose, names_subject, read, reads, score, style_of
from inference.demoworld.subjects import Question, Subject, draw_question, questions, subject_of
from inference.demoworld.tastes import TRAITS, Taste, kinds

__all__ = [
    "DOMAINS",
    "TRAITS",
    "Question",
    "Subject",
    "Taste",
    "choose",
    "draw_question",
    "draw_shot",
    "kinds",
    "names_subject",
    "questions",
    "read",
    "reads",
    "score",
    "style_of",
    "subject_of",
    "write",
]
