"""Hostile text: nothing a model, a candidate or a document says becomes code or hides what is read."""

from __future__ import annotations

import re

import pytest
from selectolax.lexbor import LexborHTMLParser

from studyapp.text import document, paragraphs, plain, titled

HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg/onload=alert(1)>',
    "</div></article><form action=//evil.example><button>Continue</button></form>",
    "{{ csrf_token }} {% load x %}",
    "[look](javascript:alert(1)) ![x](http://evil.example/pixel.png)",
    "<a href='data:text/html,<script>alert(1)</script>'>x</a>",
    "<style>body{display:none}</style><base href=//evil.example>",
    "<meta http-equiv=refresh content='0;url=//evil.example'>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "<!-- --><iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<math><mtext></mtext><mglyph><style><img src onerror=alert(1)>",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_model_text_is_never_markup(text: str) -> None:
    tree = LexborHTMLParser(f"<div id=box>{paragraphs(text)}</div>")
    box = tree.css_first("#box")
    assert box is not None
    assert {node.tag for node in box.css("*")} <= {"div", "p", "br"}
    assert box.text(strip=True) == text


@pytest.mark.parametrize("text", HOSTILE)
def test_a_document_keeps_only_harmless_markup(text: str) -> None:
    tree = LexborHTMLParser(f"<div id=box>{document(text)}</div>")
    box = tree.css_first("#box")
    assert box is not None
    for node in box.css("*"):
        assert node.tag in {"div", "p", "a", "em", "strong", "br", "code"}, node.tag
        assert not [name for name in node.attributes if name.startswith("on") or name in ("style", "src")]
        assert not (node.attributes.get("href") or "").startswith(("javascript:", "data:"))


def test_raw_html_in_a_document_stays_visible_text() -> None:
    assert "&lt;b&gt;" in document("A <b>bold</b> claim.")


def test_markdown_of_a_document_is_rendered_below_the_pages_own_heading() -> None:
    html = document("# One\n\nA *short* text with [a link](https://example.org).\n\n- x\n\n###### Six")
    assert "<h2>One</h2>" in html
    assert "<h6>Six</h6>" in html
    assert "<em>short</em>" in html
    assert 'href="https://example.org"' in html
    assert 'rel="noopener noreferrer"' in html


def test_a_documents_headings_follow_the_pages_own_without_a_gap() -> None:
    _, rest = titled("# Before you begin\n\n## Who\n\n### Where\n\n## Why", "Otherwise")
    html = document(rest)
    assert re.findall(r"<h\d>\w+", html) == ["<h2>Who", "<h3>Where", "<h2>Why"]
    assert "<h2>Deep" in document("#### Deep")


def test_blank_lines_part_paragraphs_and_line_ends_stay() -> None:
    assert paragraphs("One\ntwo\r\n \r\nThree\n\n\n\nFour") == "<p>One<br>two</p><p>Three</p><p>Four</p>"
    assert paragraphs("  \n ") == ""


def test_characters_that_hide_or_reorder_are_taken_out() -> None:
    assert plain("a\u202eb\u2066c\u200bd\x00e\ufefff\x1b[31m") == "abcdef[31m"
    assert plain("naïve 漢字 👩‍🔬") == "naïve 漢字 👩‍🔬"


@pytest.mark.parametrize(
    ("markdown", "title", "rest"),
    [
        ("# Before *you* begin\n\nText.", "Before you begin", "Text."),
        ("Text first.\n\n# Later", "Otherwise", "Text first.\n\n# Later"),
        ("", "Otherwise", ""),
        ("Title\n=====\nText", "Title", "Text"),
        ("# <script>x</script>\nText", "<script>x</script>", "Text"),
    ],
)
def test_a_documents_first_heading_becomes_the_pages(markdown: str, title: str, rest: str) -> None:
    heading, text = titled(markdown, "Otherwise")
    assert (heading, text.strip()) == (title, rest)
