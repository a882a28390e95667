"""The world: synthetic people, questions and answers with an exact judge. No language model, no Django."""

from inference.world.answers import draw_pair, draw_plan, draw_shot, draw_shots, questionnaire, write
from inference.world.forms import DOMAINS, EXPLANATIONS, OPEN, REVIEWS, Idea
from inference.world.judge import choose, liking, names_subject, outcome, read, reads, score
from inference.world.subjects import Question, Subject, draw_question, questions, subject_of
from inference.world.users import Taste, User, describe, users

__all__ = [
    "DOMAINS",
    "EXPLANATIONS",
    "OPEN",
    "REVIEWS",
    "Idea",
    "Question",
    "Subject",
    "Taste",
    "User",
    "choose",
    "describe",
    "draw_pair",
    "draw_plan",
    "draw_question",
    "draw_shot",
    "draw_shots",
    "liking",
    "names_subject",
    "outcome",
    "questionnaire",
    "questions",
    "read",
    "reads",
    "score",
    "subject_of",
    "users",
    "write",
]
