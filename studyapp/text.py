"""Text on its way to a page. Nothing a model or a candidate wrote is markup; documents are sanitised markdown."""

from __future__ import annotations

import re
from functools import lru_cache

import nh3
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore

_BLANK_LINES = re.compile(r"\n[ \t]*(?:\n[ \t]*)+")
# Everything that can reorder, hide or end text: C0 and C1 controls, bidirectional overrides, zero-width marks.
_UNSHOWN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff\ufff9-\ufffb]"
)
_LINE_ENDS = re.compile(r"\r\n?|\u2028|\u2029|\x85")

DOCUMENT_TAGS = {
    "a",
    "blockquote",
    "br",
    "code",
    "em",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "li",
    "ol",
    "p",
    "pre",
    "strong",
    "ul",
}


def plain(text: str) -> str:
    """`text` without the characters that could hide or reorder what is read."""
    return _UNSHOWN.sub("", _LINE_ENDS.sub("\n", text)).strip()


def paragraphs(text: str) -> SafeString:
    """Plain paragraphs, everything escaped: blank lines part paragraphs, single line ends stay line ends."""
    parts = [part.strip() for part in _BLANK_LINES.split(plain(text)) if part.strip()]
    return mark_safe("".join(f"<p>{'<br>'.join(map(escape, part.splitlines()))}</p>" for part in parts))


def _shift_headings(state: StateCore) -> None:
    """A page has one h1, its own: a document's headings start below it."""
    for token in state.tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1]) + 1, 6)}"


@lru_cache(maxsize=1)
def _markdown() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}).disable("image")
    parser.core.ruler.push("shift_headings", _shift_headings)
    return parser


@lru_cache(maxsize=128)
def titled(markdown: str, otherwise: str) -> tuple[str, str]:
    """A document's own first heading and the rest of it; `otherwise` and all of it where there is none."""
    tokens = _markdown().parse(markdown)
    if len(tokens) > 2 and tokens[0].type == "heading_open" and tokens[0].map:
        # What is written, without the marks of emphasis or links.
        words = "".join(child.content for child in tokens[1].children or ())
        rest = "\n".join(markdown.splitlines()[tokens[0].map[1] :])
        return plain(words) or otherwise, rest
    return otherwise, markdown


@lru_cache(maxsize=128)
def document(markdown: str) -> SafeString:
    """CommonMark of a study's document as HTML: raw HTML stays text, then only `DOCUMENT_TAGS` remain."""
    html = _markdown().render(markdown)
    return mark_safe(
        nh3.clean(
            html,
            tags=DOCUMENT_TAGS,
            attributes={"a": {"href", "title"}, "ol": {"start"}},
            url_schemes={"http", "https", "mailto"},
            link_rel="noopener noreferrer",
            set_tag_attribute_values={"a": {"target": "_blank"}},
        )
    )
