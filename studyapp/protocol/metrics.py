"""What an exclusion rule may measure of a participant. None of it needs an arm or an outcome."""

from __future__ import annotations

METRICS: dict[str, str] = {
    "completed": "1 when everything was judged, else 0.",
    "attention_missed": "Attention pairs answered otherwise than they asked.",
    "judgments": "Judged pairs, controls included.",
    "fastest_judgment_s": "Seconds of the fastest judgment, by the page's clock, else by the server's.",
    "median_judgment_s": "Seconds of the median judgment.",
    "fastest_choice_s": "Seconds of the fastest labelled pair.",
    "median_choice_s": "Seconds of the median labelled pair.",
    "first_share": "Share of the decided judgments that chose the first text.",
    "repeat_agreement": "Share of the repeated labelled pairs answered as before.",
    "waited_s": "Seconds of all waits for texts.",
    "minutes": "Minutes from entry to the last judgment.",
}
# Names of analysis sets that every study has: no rule may be called so.
RESERVED = ("itt", "per_protocol", "unfinished", "attention")
