"""What the scripted engine says where a prompt gives it a part: it judges, lists and answers by a rule.

With the option `judge = "reader"` the engine reads the tagged sections of a prompt (``<reader>`` and so on) and keeps
to them, so that a pipeline of personas, viewpoints, answers and judgments can be tried without a model:

    reader, output_1, output_2      1 or 2: of the things the reader cares about, in the order in which they are named,
                                    the first that one output alone speaks of decides; 0 when none does
    reader, preferred, other        a sentence that makes the reader care about what only `preferred` speaks of
    traits                          a description of a reader with these traits, who cares about one thing
    question or topic, and count    that many numbered lines
    question, viewpoint or reader   generic prose that speaks of what the viewpoint or reader does
"""

from __future__ import annotations

import random
import re

_SECTION = re.compile(r"<(\w+)>\n(.*?)\n</\1>", re.DOTALL)
THEMES = {
    "money": "Count the money twice before it is gone.",
    "health": "Your health will thank you or complain.",
    "family": "Whatever the family says at table deserves weight.",
    "freedom": "Nothing beats the freedom to change course.",
    "tradition": "There is wisdom in tradition that nobody wrote down.",
    "nature": "Go out and let nature have a word.",
    "beauty": "A touch of beauty makes every effort lighter.",
    "science": "Trust what science has measured so far.",
    "safety": "Put safety ahead of speed.",
    "adventure": "Call it an adventure and enjoy the detours.",
    "fairness": "Share it out so that fairness is seen by all.",
    "comfort": "Choose comfort where you will sit the longest.",
}
"""What a reader can care about, and how an answer speaks of it; the engine's generic prose names none of it."""
_REASONS = ("costs", "worries", "habits", "chances", "limits", "beginnings")


def sections(prompt: str) -> dict[str, str]:
    """The tagged sections of a prompt, by name."""
    return dict(_SECTION.findall(prompt))


def play(prompt: str, prose: str, rng: random.Random) -> str:
    """The answer to a prompt; `prose` is what the engine would have said without a part to play."""
    found = sections(prompt)
    if {"reader", "output_1", "output_2"} <= found.keys():
        return _verdict(found["reader"], found["output_1"], found["output_2"])
    if {"reader", "preferred", "other"} <= found.keys():
        return _sentence(found["preferred"], found["other"])
    if "traits" in found:
        traits = ", ".join(line.partition(": ")[2] for line in found["traits"].splitlines())
        return f"This reader is {traits}. This reader cares about {rng.choice(list(THEMES))}."
    if "count" in found:
        return _listed(found, rng)
    if "question" in found:
        return _spoken(found.get("viewpoint") or found.get("reader", ""), prose)
    return prose


def _verdict(reader: str, first: str, second: str) -> str:
    for theme in themes_of(reader):
        speaks = [theme in themes_of(output) for output in (first, second)]
        if speaks[0] != speaks[1]:
            return "1" if speaks[0] else "2"
    return "0"


def _sentence(preferred: str, other: str) -> str:
    only = [theme for theme in themes_of(preferred) if theme not in themes_of(other)]
    return f"This reader cares about {' and '.join(only)}." if only else ""


def _listed(found: dict[str, str], rng: random.Random) -> str:
    if "topic" in found:
        lines = [
            f"What should I know about the {rng.choice(_REASONS)} of {found['topic']}, part {n}?" for n in range(9)
        ]
    else:
        lines = [f"as a matter of {theme}" for theme in rng.sample(list(THEMES), len(THEMES))]
    return "\n".join(f"{number}. {line}" for number, line in enumerate(lines[: int(found["count"])], start=1))


def _spoken(of: str, prose: str) -> str:
    return " ".join([prose, *(THEMES[theme] for theme in themes_of(of))])


def themes_of(text: str) -> list[str]:
    """The things to care about that a text speaks of, in the order in which it first names them."""
    return list(dict.fromkeys(word for word in re.findall(r"[a-z]+", text.lower()) if word in THEMES))
