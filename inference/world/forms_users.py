"""How a person is described in words: one clause for each thing they like, whole tokens of the bundled model."""

from __future__ import annotations

OPENING = "This reader"

REVIEW_CLAUSES: dict[tuple[str, int], str] = {
    ("valence", 1): "likes to hear what is good about a thing",
    ("valence", -1): "likes to hear what is wrong with a thing",
    ("length", 1): "wants the long version",
    ("length", -1): "wants it in a sentence or two",
}

LEVEL_CLAUSES: dict[int, str] = {
    1: "wants it told as to a small child",
    2: "wants it in everyday words",
    3: "wants it as at school, with causes and effects",
    4: "wants it as in a college course",
    5: "wants it as one expert tells another",
}

VIEW_CLAUSES: dict[tuple[str, int], str] = {
    ("stance", 1): "is open to new things",
    ("stance", -1): "is wary of new things",
    ("reason", 1): "looks first at their own life",
    ("reason", -1): "looks first at the people around them",
    ("support", 1): "is moved by stories",
    ("support", -1): "is moved by figures",
    ("close", 1): "wants a next step",
    ("close", -1): "wants a question to think about",
}
