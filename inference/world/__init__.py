"""The world: synthetic people, questions and answers with an exact judge. No language model, no Django."""

from inference.world.answers import draw_shot, write
from inference.world.forms import DOMAINS
from inference.world.judge import choose, names_subject, read, reads, score, style_of
from inference.world.subjects import Question, Subject, draw_question, questions, subject_of
from inference.world.tastes import TRAITS, Taste, kinds

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
