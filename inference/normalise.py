"""Raw model text becomes the text that is shown: one pure treatment for every arm, so format cannot tell them apart.

FSPO headings are stripped, markdown becomes plain paragraphs, characters that hide or reorder text go, the length is
measured against the window, and what could give an arm away is flagged. Nothing here knows which arm a text is from.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import eq
from typing import Literal

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

from inference.contracts import FinishReason, Purpose, Shot, Window

Reject = Literal["empty", "truncated", "degenerate"]

# A sentence counts as copied from this length on; one is told when it is long, or together they fill a third.
COPIED_SENTENCE_WORDS = 8
LONG_SENTENCE_WORDS = 16
ECHOED_PROMPT_WORDS = 10
# Each pass removes one layer of escapes; a text that still changes after this many is an attack or noise.
MARKDOWN_PASSES = 12


@dataclass(frozen=True, slots=True)
class Normalised:
    """A text as it may be shown, and what is known about it.

    `words` counts white-space-separated words. `reject` is a hard reason not to show the text at all.
    `distance` is how many words the text lies outside its window (0 inside, or without a window). `flags` are sorted:
    ``copies_shot``, ``echoes_prompt``, ``heading_left``, ``names_a_model``, ``refers_to_examples``,
    ``refers_to_preferences``. A flag never drops a text; results are reported with and without flagged ones.
    """

    shown: str
    words: int
    reject: Reject | None
    outside_window: bool
    distance: int
    flags: tuple[str, ...]


def normalise(
    raw: str,
    window: Window | None = None,
    *,
    prompt: str | None = None,
    names: Sequence[str] = (),
    shots: Sequence[Shot] = (),
    finish_reason: FinishReason = "stop",
    purpose: Purpose = "answer",
) -> Normalised:
    """Normalise one completion; never raises.

    `prompt` and `shots` are what the model was given (for echoes), `names` the distinctive model names of the study.
    `purpose` picks the section of an FSPO completion: the preferred response, or the user description.
    """
    section, closed = _section(_clean(raw), purpose)
    plain = window is None or window.plain_text
    shown = _settle(section, purpose) if plain else _blank_lines_between_paragraphs(section)
    count, words = len(shown.split()), _bare_words(shown)
    distance = max(window.min_words - count, count - window.max_words, 0) if window else 0
    cut = finish_reason != "stop" and not closed
    return Normalised(
        shown=shown,
        words=count,
        reject=_reject(shown, words, cut),
        outside_window=distance > 0,
        distance=distance,
        flags=tuple(sorted(_flags(shown, words, prompt, names, shots))),
    )


# ---- characters

_KEPT_FORMAT = {"\u200c", "\u200d"}  # the joiners that Persian, Indic scripts and emoji are written with
_LINE_ENDS = re.compile(r"\r\n|[\r\v\f\x1c-\x1e\x85\u2028\u2029]")


def _clean(text: str) -> str:
    """NFC; line ends as newlines; no control, bidi, invisible, private or surrogate characters; plain spaces."""
    text = _LINE_ENDS.sub("\n", text)
    if text.isascii() and text.replace("\n", "").isprintable():
        return text
    return unicodedata.normalize("NFC", "".join(map(_character, text)))


@lru_cache(maxsize=4096)
def _character(character: str) -> str:
    if character == "\n" or character in _KEPT_FORMAT:
        return character
    category = unicodedata.category(character)
    if category == "Zs" or character == "\t":
        return " "
    noncharacter = ord(character) & 0xFFFE == 0xFFFE or 0xFDD0 <= ord(character) <= 0xFDEF
    hidden = category in ("Cc", "Cf", "Cs", "Co") or noncharacter or character == "\ufffd"
    return "" if hidden else character


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _blank_lines_between_paragraphs(text: str) -> str:
    lines = [_one_line(line) for line in text.split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


# ---- FSPO sections

_SECTION = re.compile(
    r"^\ {0,3}(?:"
    r"(?:\#{1,6}|\*{1,3})\ *(?P<named>(?:dis)?preferred\ response|user\ description)\b[ :*\#]*"
    r"|\#\ (?P<frame>task|example\ \d+)\ *$"
    r"|\#\#\ (?P<asked>question)\ *$"
    r")",
    re.IGNORECASE | re.MULTILINE | re.VERBOSE,
)


def _section(text: str, purpose: Purpose) -> tuple[str, bool]:
    """The section a completion was asked for, and whether another heading closed it.

    Text before the first heading counts as the section itself: an engine may have been given the heading already.
    """
    if "#" not in text and "*" not in text:
        return text, False
    wanted = "preferred response" if purpose == "answer" else "user description"
    headings = list(_SECTION.finditer(text))
    for index, heading in enumerate(headings):
        if (heading["named"] or "").lower() == wanted:
            closed = index + 1 < len(headings)
            return text[heading.end() : headings[index + 1].start() if closed else len(text)], closed
    if headings:
        return text[: headings[0].start()], True
    return text, False


# ---- markdown to plain paragraphs

_MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"]).disable(["code", "reference"])
_SENTENCE_END = re.compile(r"[.!?:;,…。！？][\"'”’)\]]*$")
_TAG = re.compile(r"<(script|style)\b.*?(</\1\s*>|$)|<!--.*?(-->|$)|</?[a-zA-Z!?][^<>]*>?", re.DOTALL | re.IGNORECASE)
_MARKUP = re.compile(r"[^\w\s.,!?'’\"“”()]")
_LIST_MARKER = re.compile(r"^\s*(?:\d+[.)](?=\s|$)\s*)+", re.MULTILINE)


def _settle(text: str, purpose: Purpose) -> str:
    """Plain paragraphs that the same treatment leaves as they are, however often markup is nested in markup."""
    for _ in range(MARKDOWN_PASSES):
        plain = _plain(_section(text, purpose)[0])
        if plain == text:
            return plain
        text = plain
    return _plain(_LIST_MARKER.sub("", _MARKUP.sub("", text)))


# Lines that begin like prose and hold nothing that markdown could read as more than text.
_PROSE = re.compile(r"(?:(?:[A-Za-z\"'(][A-Za-z0-9 ,.;:?!'\"()%/-]*)?\n)*(?:[A-Za-z\"'(][A-Za-z0-9 ,.;:?!'\"()%/-]*)?")


def _plain(text: str) -> str:
    if _PROSE.fullmatch(text):
        return "\n\n".join(filter(None, map(_one_line, re.split(r"\n\n+", text))))
    return _parsed(text)


def _parsed(text: str) -> str:
    root = SyntaxTreeNode(_MARKDOWN.parse(text))
    paragraphs: list[str] = []
    lead = ""
    for text_, is_heading in _blocks(root):
        line = _one_line(_clean(text_))
        if not line:
            continue
        if is_heading:
            lead = f"{lead} {_sentence(line)}".strip()
        else:
            paragraphs.append(f"{lead} {line}".strip())
            lead = ""
    return "\n\n".join([*paragraphs, lead] if lead else paragraphs)


def _blocks(node: SyntaxTreeNode) -> Iterator[tuple[str, bool]]:
    """Block texts in order, and whether each is a heading (it then leads the next paragraph as a sentence)."""
    for child in node.children:
        if child.type == "heading":
            yield _inline(child), True
        elif child.type == "paragraph":
            yield _inline(child), _is_bold_line(child)
        elif child.type in ("bullet_list", "ordered_list"):
            yield _list(child), False
        elif child.type == "table":
            yield " ".join(_rows(child)), False
        elif child.type in ("fence", "code_block"):
            yield child.content, False
        elif child.type == "html_block":
            yield _TAG.sub(" ", child.content), False
        else:
            yield from _blocks(child)


def _is_bold_line(paragraph: SyntaxTreeNode) -> bool:
    inline = paragraph.children[0].children if paragraph.children else []
    spans = [node for node in inline if node.type != "text" or node.content.strip()]
    return len(spans) == 1 and spans[0].type == "strong"


def _list(node: SyntaxTreeNode) -> str:
    """A list as sentences. A lone numbered item keeps its number: a paragraph may well begin "1984. That year"."""
    items = [_sentence(_one_line(" ".join(text for text, _ in _blocks(item)))) for item in node.children]
    if node.type == "ordered_list" and len(items) == 1:
        return f"{node.attrs.get('start', 1)}{node.children[0].markup} {items[0]}"
    return " ".join(item for item in items if item)


def _rows(table: SyntaxTreeNode) -> Iterator[str]:
    for part in table.children:
        for row in part.children:
            cells = (_one_line(_inline(cell)) for cell in row.children)
            yield _sentence(", ".join(cell for cell in cells if cell))


def _sentence(text: str) -> str:
    return text if not text or _SENTENCE_END.search(text) else f"{text}."


def _inline(node: SyntaxTreeNode) -> str:
    if node.type in ("text", "code_inline", "text_special"):
        return str(node.content)
    if node.type in ("softbreak", "hardbreak"):
        return " "
    if node.type == "html_inline":
        return " " if node.content.lower().startswith("<br") else ""
    return "".join(_inline(child) for child in node.children)


# ---- words

_NEITHER_WORD_NOR_SPACE = re.compile(r"[^\w\s]|_")
_WORD = re.compile(r"\w+")
# The same for ASCII, which most texts are.
_SPACED = {code: " " for code in range(128) if not _WORD.match(chr(code))}
_DROPPED = {code: None for code in range(128) if _NEITHER_WORD_NOR_SPACE.match(chr(code))}


def _bare_words(text: str) -> list[str]:
    """The words of a text without case and punctuation."""
    folded = text.casefold()
    return (folded.translate(_DROPPED) if folded.isascii() else _NEITHER_WORD_NOR_SPACE.sub("", folded)).split()


def _spoken(text: str) -> list[str]:
    """What stands between characters that are part of no word, without case."""
    return text.lower().translate(_SPACED).split() if text.isascii() else list(map(str.casefold, _WORD.findall(text)))


def _sentences(text: str) -> list[str]:
    return re.split(r"(?<=[.!?…])\s+|\n+", text)


def _runs(words: Sequence[str], length: int) -> Iterator[tuple[str, ...]]:
    return zip(*(words[start:] for start in range(length)), strict=False)


# ---- hard reasons

_ONE_CHARACTER = re.compile(r"(\S)\1{19}")
_ONE_WORD = re.compile(r"\b(\w+)(?:\W+\1\b){5}", re.IGNORECASE)


def _reject(shown: str, words: Sequence[str], cut: bool) -> Reject | None:
    if not any(character.isalnum() for character in shown):
        return "empty"
    if cut:
        return "truncated"
    return "degenerate" if _is_degenerate(shown, words) else None


def _is_degenerate(shown: str, words: Sequence[str]) -> bool:
    """A loop: one character, one word, one sentence or one phrase over and over."""
    # The patterns try every place of the text: they are asked where a look at its words leaves it open.
    if max(map(len, shown.split()), default=0) >= 20 and _ONE_CHARACTER.search(shown):
        return True
    spoken = _spoken(shown)
    if any(map(eq, spoken, spoken[1:])) and _ONE_WORD.search(shown):
        return True
    phrases = list(_runs(words, 4))
    distinct = len(set(phrases))
    if len(phrases) - distinct < 2:  # a sentence of four words said three times repeats its first phrase twice
        return False
    sentences = Counter(" ".join(_bare_words(sentence)) for sentence in _sentences(shown))
    if any(times >= 3 and len(sentence.split()) >= 4 for sentence, times in sentences.items()):
        return True
    return len(phrases) >= 20 and distinct < len(phrases) / 2


# ---- flags

_PAST = r"(?:preferred|liked|chose|picked|selected|favou?red|enjoyed|asked\ for|told\ me|mentioned|indicated|rated)"
_TRACES = r"(?:preferences?|tastes?|choices?|answers?|selections?|profile)"
_TO_PREFERENCES = re.compile(
    rf"""\b(?:as|like|since|because|given\ that)\ you(?:['’]ve|\ have)?\ (?:\w+\ )?{_PAST}\b
    |\byou(?:['’]ve|\ have)?\ (?:\w+\ )?{_PAST}\ (?:\w+\ ){{0,3}}(?:earlier|before|previously|above|in\ the\ past)\b
    |\b(?:as|since|because|knowing\ that|I\ know)\ you\ (?:\w+\ )?(?:prefer|like|favou?r|enjoy)\b
    |\b(?:based\ on|given|considering|following|per|matching|in\ line\ with)\ your\ (?:\w+\ )?{_TRACES}\b
    |\byour\ (?:earlier|previous|past|prior|stated|known)\ {_TRACES}\b
    |\b(?:tailored|personali[sz]ed|customi[sz]ed)\ (?:to|for)\ you\b""",
    re.IGNORECASE | re.VERBOSE,
)
_TO_EXAMPLES = re.compile(
    r"""\b(?:the|these|those|your|given)\ (?:\w+\ )?examples?\ (?:above|given|provided|shown|you)\b
    |\bexamples?\ (?:above|you\ (?:gave|provided))\b | \babove\ examples?\b | \bas\ in\ example\ \d
    |\b(?:previous|earlier|preceding)\ (?:answers?|responses?|examples?|questions?)\b
    |\b(?:dis)?preferred\ (?:response|answer)s?\b | \bgenerate\ a\ (?:preferred\ )?response\b""",
    re.IGNORECASE | re.VERBOSE,
)
_A_MODEL = re.compile(
    r"""\b(?:chatgpt|gpt-?\d\w*|openai|anthropic|deepmind|deepseek|qwen\w*|mistral\ ai|meta\ ai|google\ gemini)\b
    |\bhugging\ ?face\b | \bllama[- ]?\d | \bclaude[- ](?:\d|ai|opus|sonnet|haiku) | \bgemini[- ](?:\d|pro|ultra|flash)
    |\b(?:I\ am|I['’]m|as)\ (?:claude|gemini|llama|mistral|gemma|grok|an?\ (?:AI|artificial\ intelligence)\b)
    |\b(?:large\ )?language\ models?\b""",
    re.IGNORECASE | re.VERBOSE,
)
_HEADING_LEFT = re.compile(r"^ *#|\b(?:dis)?preferred response\b|\buser description\b|^example \d+$", re.I | re.M)


# The patterns above try every place of a text; each match holds one of these, which are found in no time.
_HINTS = {
    _TO_PREFERENCES: (
        *("prefer", "like", "chose", "picked", "select", "favo", "enjoy", "asked", "told me", "mention", "indicat"),
        *("rated", "taste", "choice", "answer", "profile", "tailored", "personali", "customi"),
    ),
    _TO_EXAMPLES: ("example", "answer", "response", "question"),
    _A_MODEL: (
        *("gpt", "openai", "anthropic", "deepmind", "deepseek", "qwen", "mistral", "meta ai", "gemini", "hugging"),
        *("llama", "claude", "gemma", "grok", "an ai", "a ai", "artificial", "language model"),
    ),
    _HEADING_LEFT: ("#", "preferred response", "user description", "example"),
}


def _told(pattern: re.Pattern[str], shown: str, folded: str) -> bool:
    return any(map(folded.__contains__, _HINTS[pattern])) and pattern.search(shown) is not None


def _folded(text: str) -> str:
    """Lower case, as patterns that ignore case see it."""
    low = text.lower()
    return low if low.isascii() else low.replace("\u0131", "i").replace("\u017f", "s")


def _flags(
    shown: str, words: Sequence[str], prompt: str | None, names: Sequence[str], shots: Sequence[Shot]
) -> Iterator[str]:
    folded = _folded(shown)
    if "you" in folded and _told(_TO_PREFERENCES, shown, folded):
        yield "refers_to_preferences"
    if _told(_TO_EXAMPLES, shown, folded):
        yield "refers_to_examples"
    if _told(_A_MODEL, shown, folded) or any(_named(name.strip(), shown, folded) for name in names):
        yield "names_a_model"
    if _told(_HEADING_LEFT, shown, folded):
        yield "heading_left"
    told = [text for shot in shots for text in (shot.question, shot.preferred, shot.dispreferred)]
    if _copies(words, told):
        yield "copies_shot"
    if prompt and _shares_a_run(words, _bare_words(_without(prompt, told))):
        yield "echoes_prompt"


def _named(name: str, shown: str, folded: str) -> bool:
    if len(name) < 2 or _folded(name) not in folded:
        return False
    return bool(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", shown, re.IGNORECASE))


def _copies(words: Sequence[str], texts: Sequence[str]) -> bool:
    runs = set(_runs(words, COPIED_SENTENCE_WORDS))
    near = [text for text in texts if not runs.isdisjoint(_beginnings(text))]
    if not near:
        return False
    haystack = f" {' '.join(words)} "
    copied = {sentence for text in near for sentence in _long_sentences(text) if sentence in haystack}
    lengths = [len(sentence.split()) for sentence in copied]
    return bool(lengths) and (max(lengths) >= LONG_SENTENCE_WORDS or 3 * sum(lengths) >= len(words))


@lru_cache(maxsize=8192)  # a participant's shots come with each of their texts
def _beginnings(text: str) -> frozenset[tuple[str, ...]]:
    """The first words of each long sentence."""
    return frozenset(tuple(sentence.split()[:COPIED_SENTENCE_WORDS]) for sentence in _long_sentences(text))


def _long_sentences(text: str) -> list[str]:
    sentences = map(_bare_words, _sentences(text))
    return [f" {' '.join(words)} " for words in sentences if len(words) >= COPIED_SENTENCE_WORDS]


def _shares_a_run(words: Sequence[str], given: Sequence[str]) -> bool:
    known = set(given)
    if "y" * ECHOED_PROMPT_WORDS not in "".join("y" if word in known else "n" for word in words):
        return False
    return not set(_runs(given, ECHOED_PROMPT_WORDS)).isdisjoint(_runs(words, ECHOED_PROMPT_WORDS))


def _without(prompt: str, texts: Sequence[str]) -> str:
    """The prompt without these texts, which it mostly holds one after another."""
    texts = [stripped for text in texts if (stripped := text.strip())]
    kept, at = [], 0
    for text in texts:
        if (found := prompt.find(text, at)) >= 0:
            kept.append(prompt[at:found])
            at = found + len(text)
    left = "\n".join([*kept, prompt[at:]])
    for text in texts:
        left = left.replace(text, "\n")
    return left
