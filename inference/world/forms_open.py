"""Forms of answers to open-ended questions: four aspects, on each of which there are two views, 1 and -1."""

from __future__ import annotations

OPEN_FORMS: dict[str, tuple[tuple[str, ...], dict[int, tuple[str, ...]]]] = {
    "stance": (
        ("If you ask me, {s}", "On balance, {s}", "To my mind, {s}", "As far as I can see, {s}"),
        {
            1: (
                "is well worth a try.",
                "is a better idea than most people think.",
                "brings more good than trouble.",
                "is something you are likely to be glad about.",
            ),
            -1: (
                "is more trouble than it looks.",
                "is a worse idea than most people think.",
                "asks for more than it gives back.",
                "is something you are likely to regret.",
            ),
        },
    ),
    "reason": (
        ("What counts is", "The heart of the matter is", "I would look first at"),
        {
            1: (
                "what it does for your own peace of mind.",
                "how much you yourself would learn from it.",
                "the freedom that it gives or takes from you.",
                "how you would feel about it on a quiet evening alone.",
            ),
            -1: (
                "what it does for the people around you.",
                "how much your family and friends would share in it.",
                "the time that it gives or takes from those you love.",
                "how others would feel about it when they need you.",
            ),
        },
    ),
    "support": (
        ("To give you an idea,", "Take this as a hint:", "Here is what I go by:"),
        {
            1: (
                "my aunt did it for a year and still tells stories about it.",
                "a colleague of mine began on a rainy Monday and never forgot it.",
                "an old friend wrote me three long letters about it.",
                "the woman next door talked of little else all summer.",
            ),
            -1: (
                "in one survey, six in ten people kept at it for a year.",
                "on average it takes forty days to feel normal.",
                "about one person in four changes course within six months.",
                "it costs most people some three hours a week.",
            ),
        },
    ),
    "close": (
        ("So", "For now,", "Before you decide,"),
        {
            1: (
                "take one small step this week and see how it feels.",
                "set yourself a clear limit and write it down.",
                "talk to somebody who has done it and take notes.",
                "sleep on it twice and then make up your mind.",
            ),
            -1: (
                "ask yourself: what would have to happen for you to stop?",
                "ask yourself: who would you like to be in ten years?",
                "ask yourself: what would you give up to make room for it?",
                "ask yourself: would you choose it again if nobody knew?",
            ),
        },
    ),
}
