"""Forms of reviews: six aspects of a film, series or novel, each with praise (1) and blame (-1)."""

from __future__ import annotations

REVIEW_FORMS: dict[str, tuple[tuple[str, ...], dict[int, tuple[str, ...]]]] = {
    "verdict": (
        ("For me, {s}", "All in all, {s}", "In the end, {s}", "Looking back, {s}"),
        {
            1: (
                "is a joy from the first minute to the last.",
                "is one of the best things I have come across in years.",
                "deserves every kind word it has received.",
                "is a small wonder that I would gladly return to.",
            ),
            -1: (
                "is a disappointment from the first minute to the last.",
                "is one of the dullest things I have come across in years.",
                "deserves far less praise than it has received.",
                "is a long sigh that I would not sit through again.",
            ),
        },
    ),
    "story": (
        ("The story", "The plot", "What happens"),
        {
            1: (
                "surprises at every turn and still makes sense.",
                "holds together beautifully and wastes nothing.",
                "is clever without ever showing off.",
                "keeps you guessing in the best possible way.",
            ),
            -1: (
                "is predictable at every turn and makes little sense.",
                "falls apart halfway and never recovers.",
                "is muddled and much too pleased with itself.",
                "gives everything away in the first few scenes.",
            ),
        },
    ),
    "people": (
        ("The people in it", "The main characters", "The two leads"),
        {
            1: (
                "feel like friends by the end.",
                "are drawn with warmth and real wit.",
                "grow in ways that are a pleasure to follow.",
                "are so alive that you miss them afterwards.",
            ),
            -1: (
                "remain strangers to the end.",
                "are drawn without warmth or wit.",
                "learn nothing and give you no reason to care.",
                "are so flat that you mix them up.",
            ),
        },
    ),
    "pace": (
        ("The pace", "The rhythm", "The way it moves"),
        {
            1: (
                "is exactly right, calm when it should be and quick when it must.",
                "carries you along so that the hours fly by.",
                "never drags and never hurries.",
                "makes it very hard to stop.",
            ),
            -1: (
                "is all wrong, slow when it should be quick and then hasty.",
                "wears you down so that the hours crawl by.",
                "drags first and hurries later.",
                "makes it very hard to go on.",
            ),
        },
    ),
    "craft": (
        ("The craft behind it", "The style", "The care for detail"),
        {
            1: (
                "is a delight in every scene.",
                "shows a sure and loving hand.",
                "gives even plain moments a glow.",
                "is worth the time on its own.",
            ),
            -1: (
                "is missing in nearly every scene.",
                "shows a tired and careless hand.",
                "makes even good moments look cheap.",
                "is a reason to stay away on its own.",
            ),
        },
    ),
    "ending": (
        ("The ending", "The last part", "How it closes"),
        {
            1: (
                "feels earned and stays with you for days.",
                "ties everything together with a light touch.",
                "left me smiling on the way home.",
                "is the finest part of it.",
            ),
            -1: (
                "feels forced and is forgotten at once.",
                "leaves everything hanging without a reason.",
                "left me cross on the way home.",
                "is the weakest part of it.",
            ),
        },
    ),
}
