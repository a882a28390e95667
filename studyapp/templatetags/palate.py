"""`{{ text|paragraphs }}` and `{{ markdown|document }}`: the only ways for study and model text into a page."""

from django import template

from studyapp.text import document, paragraphs, plain

register = template.Library()
register.filter("paragraphs", paragraphs)
register.filter("document", document)
register.filter("plain", plain)
