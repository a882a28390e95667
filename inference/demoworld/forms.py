"""The surface forms of the world: every sentence an answer can contain.

An answer is one sentence a trait. A sentence is a lead-in, the same in every domain, and a body that belongs to the
domain. `{s}` is the subject, `{who}` a person, `{n}` a small number and `{m}` a larger one. Every body fits every
lead-in of its pole, and no sentence of one pole can be read as one of another.
"""

from __future__ import annotations

REVIEWS, EXPLANATIONS, OPEN = "reviews", "explanations", "open-ended"
DOMAINS: tuple[str, ...] = (REVIEWS, EXPLANATIONS, OPEN)

WHO: tuple[str, ...] = ("my neighbour", "my aunt", "my brother", "my old teacher", "a colleague", "a friend of mine")
SMALL: tuple[int, ...] = (3, 4, 5, 6, 7, 8)
LARGE: tuple[int, ...] = (10, 12, 15, 20, 25, 30, 40)

LEADS: dict[str, tuple[str, ...]] = {
    "picture": ("Put simply,", "In everyday words,", "Picture it:", "In plain words,"),
    "terms": ("Strictly speaking,", "In technical terms,", "Viewed formally,", "To be precise,"),
    "hopeful": ("The good news is that", "Happily,", "What I love is that", "Best of all,"),
    "wary": ("The trouble is that", "Sadly,", "What worries me is that", "Be warned that"),
    "story": ("I remember how", "Last winter I saw how", "Someone told me how", "I once watched how"),
    "figures": ("On average,", "By one count,", "In one survey,", "Going by the numbers,"),
    "advice": ("My advice:", "So", "If you ask me,", "For now,"),
    "question": ("But tell me,", "Then again,", "I wonder,", "Ask yourself:"),
}

_REVIEWS: dict[str, tuple[str, ...]] = {
    "picture": (
        "{s} is like a long story told by the fire",
        "{s} is a small tale about people who want to go home",
        "{s} feels like leafing through an old family album",
        "{s} is like a walk through a town full of secrets",
    ),
    "terms": (
        "{s} is an ensemble piece built on a three-part structure",
        "{s} combines an unreliable narrator with a fragmented chronology",
        "{s} alternates two timelines around a recurring motif",
        "{s} applies the conventions of chamber drama to a wider canvas",
    ),
    "hopeful": (
        "it grows warmer and wiser as it goes",
        "the ending lands beautifully",
        "every character earns your affection",
        "it stays with you for days",
    ),
    "wary": (
        "the middle drags and never quite recovers",
        "the ending feels rushed and unearned",
        "most of the characters remain strangers",
        "it promises far more than it delivers",
    ),
    "story": (
        "{who} finished it and sat in silence for an hour",
        "{who} quoted it all through dinner",
        "{who} started it on a rainy Sunday and forgot the time",
        "{who} argued about it with a stranger in a queue",
    ),
    "figures": (
        "{n} in 10 people finish it in one sitting",
        "audiences give it {n} out of 10",
        "people spend {m} minutes talking about it afterwards",
        "{n} in 10 people mention the same scene",
    ),
    "advice": (
        "set aside a quiet evening for it",
        "borrow it first and buy it later",
        "give it ten minutes and then decide",
        "share it with someone whose taste you trust",
    ),
    "question": (
        "what do you look for in a story",
        "which matters more to you, plot or mood",
        "when did a story last surprise you",
        "who would you want to discuss it with",
    ),
}

_EXPLANATIONS: dict[str, tuple[str, ...]] = {
    "picture": (
        "{s} is like a long row of falling dominoes",
        "{s} works like a kitchen that turns one thing into another",
        "{s} is like a seesaw that keeps looking for its balance",
        "{s} is like traffic, many small moves in one big pattern",
    ),
    "terms": (
        "{s} is a system of coupled variables that settles into equilibrium",
        "{s} is a sequence of state changes driven by a gradient",
        "{s} can be modelled as a feedback loop with a measurable delay",
        "{s} is described by rates, thresholds and their interaction",
    ),
    "hopeful": (
        "anyone can grasp the main idea in an afternoon",
        "knowing about it makes the whole world look brighter",
        "every new discovery makes it more useful to us",
        "it keeps working quietly in our favour",
    ),
    "wary": (
        "most short accounts of it leave out the hard part",
        "it breaks down in cases that nobody expects",
        "people often use it to claim more than it shows",
        "a small misunderstanding leads to large mistakes",
    ),
    "story": (
        "{who} explained it with two cups and a piece of string",
        "{who} drew it on a napkin and it suddenly made sense",
        "{who} ran into it by chance while fixing a kettle",
        "{who} kept a notebook about it for a whole summer",
    ),
    "figures": (
        "the basics of it take {m} minutes to learn",
        "{n} in 10 adults can describe it correctly",
        "a change of {m} per cent has a visible effect",
        "textbooks spend {m} pages on it",
    ),
    "advice": (
        "draw it on paper and explain it to a friend",
        "look for one example of it at home tonight",
        "learn the three main words first and the rest later",
        "try a small experiment before reading more",
    ),
    "question": (
        "where have you seen it at work today",
        "what would the world look like without it",
        "which part of it would you test first",
        "how would you explain it to a child",
    ),
}

_OPEN: dict[str, tuple[str, ...]] = {
    "picture": (
        "{s} is like trying on shoes, since only walking shows if they fit",
        "{s} is like planting a tree, slow at first and then suddenly there",
        "{s} is like clearing a cupboard, messy first and tidy later",
        "{s} is like learning to swim, never done by reading alone",
    ),
    "terms": (
        "{s} is a trade-off between opportunity cost and expected utility",
        "{s} amounts to a decision under uncertainty with asymmetric outcomes",
        "{s} is an intervention whose marginal effect depends on the baseline",
        "{s} reallocates a fixed budget of time and attention",
    ),
    "hopeful": (
        "the rewards arrive sooner than people expect",
        "it opens doors that you did not know were there",
        "even a half-hearted attempt leaves you better off",
        "most people who do it are glad that they did",
    ),
    "wary": (
        "the hidden costs tend to show up late",
        "the first excitement wears off quickly",
        "it can crowd out things that matter more",
        "many people regret it and say so only in private",
    ),
    "story": (
        "{who} did it on a whim one Tuesday morning",
        "{who} talked about it for years before daring to begin",
        "{who} tried it after a hard year and spoke of little else",
        "{who} kept a tally of it on the fridge door",
    ),
    "figures": (
        "{n} in 10 people who try it are still at it after a year",
        "it takes {m} days before it feels normal",
        "it costs about {m} minutes a day",
        "people rate it {n} out of 10 after six months",
    ),
    "advice": (
        "try it for two weeks and write down what changes",
        "begin with the smallest step you can take today",
        "set a limit first and keep to it",
        "ask one person who has done it and listen closely",
    ),
    "question": (
        "what would you give up to make room for it",
        "who else would feel the effects of your choice",
        "what would have to happen for you to stop",
        "how would you know that it was worth it",
    ),
}

BODIES: dict[str, dict[str, tuple[str, ...]]] = {REVIEWS: _REVIEWS, EXPLANATIONS: _EXPLANATIONS, OPEN: _OPEN}


def stop_of(pole: str) -> str:
    """The mark that ends a sentence of this pole."""
    return "?" if pole == "question" else "."
