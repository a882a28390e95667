"""What a language model is told at each step, and how its answers are read.

Every text that is not ours stands between tags, and none can close its own. Readers return None for an answer that
cannot be used.
"""

from __future__ import annotations

import re

from inference.prompts import PREFERRED_HEADING

_VERDICT = re.compile(r"\W*(?:(?:output|answer)[\W_]*)?([012])(?!\w)", re.IGNORECASE)
_NUMBERED = re.compile(r"^\s*(?:[-*•]|\(?\d{1,3}[.):])\s+(.*\S)\s*$")
MOST_WORDS = 40  # of a sentence about a persona


def write_persona(traits: dict[str, str]) -> str:
    """Ask for a persona of these traits."""
    listed = "\n".join(f"{name}: {value}" for name, value in traits.items())
    return (
        f"{_tag('traits', listed)}\n"
        "Describe one reader with these traits in two or three sentences: who they are, what they care about, and what "
        'they like in an answer. Begin with "This reader". Write the description only.'
    )


def write_questions(topic: str, count: int) -> str:
    """Ask for `count` questions about a topic."""
    return (
        f"{_tag('topic', topic)}\n{_tag('count', str(count))}\n"
        "Write that many different open-ended questions that people ask about this topic and that different people "
        "would want answered differently. Number them, one a line. Write the questions only."
    )


def write_viewpoints(question: str, count: int) -> str:
    """Ask for `count` viewpoints on a question."""
    return (
        f"{_tag('question', question)}\n{_tag('count', str(count))}\n"
        "List that many different viewpoints from which this question can be answered, as different from each other "
        "as you can. Number them, one a line, each in a short phrase. Write the viewpoints only."
    )


def answer_plainly(question: str) -> str:
    """Ask for an answer."""
    return f"{_tag('question', question)}\nAnswer this question in one short paragraph. Write the answer only."


def answer_from(question: str, viewpoint: str) -> str:
    """View-conditioning: ask for an answer from one viewpoint."""
    return (
        f"{_tag('question', question)}\n{_tag('viewpoint', viewpoint)}\n"
        "Answer this question in one short paragraph, from this viewpoint alone. Write the answer only and do not "
        "mention that it is a viewpoint."
    )


def answer_as(question: str, persona: str) -> str:
    """Persona steering: ask for an answer as a persona would give it."""
    return (
        f"{_tag('question', question)}\n{_tag('reader', persona)}\n"
        "Answer this question in one short paragraph, as this reader would answer it. Write the answer only and do not "
        "mention the reader."
    )


def judge(persona: str, question: str, first: str, second: str) -> str:
    """Ask which of two anonymous outputs the persona would rather have received."""
    return (
        "Two outputs answer the same question. Say which one this reader would rather have received.\n"
        f"{_tag('reader', persona)}\n{_tag('question', question)}\n"
        f"{_tag('output_1', first)}\n{_tag('output_2', second)}\n"
        "Go by the description of the reader and nothing else. Ignore length: a longer output is no better and no "
        "worse. The order of the outputs is random. Write one character: 1 or 2 for the output this reader prefers, "
        "or 0 if the description does not decide between them."
    )


def add_sentence(persona: str, question: str, preferred: str, other: str) -> str:
    """Ask for one more sentence about a persona, so that it prefers one of two outputs."""
    return (
        "The description of this reader does not decide between two answers to a question. In fact the reader prefers "
        "the first.\n"
        f"{_tag('reader', persona)}\n{_tag('question', question)}\n"
        f"{_tag('preferred', preferred)}\n{_tag('other', other)}\n"
        "Write one sentence to add to the description that says what this reader likes, in general words, so that "
        'it decides between such answers. Begin with "This reader". Do not mention the question or the answers. Write '
        "the sentence only."
    )


def body(text: str) -> str:
    """A response without the heading that a model of the FSPO layout writes first."""
    return text.strip().removeprefix(PREFERRED_HEADING.strip()).strip()


def read_verdict(text: str) -> int | None:
    """0, 1 or 2 when the answer begins with it."""
    found = _VERDICT.match(body(text))
    return int(found[1]) if found else None


def read_list(text: str, count: int) -> list[str] | None:
    """The first `count` different numbered lines; None when there are fewer than two."""
    lines = [found[1] for line in body(text).splitlines() if (found := _NUMBERED.match(line))]
    different = list(dict.fromkeys(lines))[:count]
    return different if len(different) >= min(2, count) else None


def read_text(text: str) -> str | None:
    """A text with its white space collapsed, None when it is empty."""
    return " ".join(body(text).split()) or None


def read_sentence(text: str) -> str | None:
    """The first sentence of an answer, None when it is empty or no sentence."""
    flat = " ".join(body(text).split())
    sentence = re.split(r"(?<=[.!?])\s", flat, maxsplit=1)[0]
    if not 3 <= len(sentence.split()) <= MOST_WORDS:
        return None
    return sentence if sentence[-1] in ".!?" else f"{sentence}."


def _tag(name: str, text: str) -> str:
    return f"<{name}>\n{text.strip().replace('</', '< /')}\n</{name}>"
