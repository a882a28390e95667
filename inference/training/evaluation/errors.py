"""What stops an evaluation."""

from __future__ import annotations


class EvaluationError(Exception):
    """Nothing can be measured; the message names what, where and what to do. Texts already made are kept."""
