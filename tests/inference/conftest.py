"""Bells that nobody hears: the layers above and the broker are not part of these tests."""

from __future__ import annotations

from typing import Any

import pytest

from tests.inference import ledger


@pytest.fixture
def quiet_bells(settings: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A listener that writes down what it is told, and every ring written down instead of sent."""
    rung: list[str] = []
    settings.GENERATION_LISTENERS = [f"{ledger.__name__}.listener"]
    monkeypatch.setattr("inference.queue.doorbell.current_app.send_task", lambda name, args, **_: rung.append(args[0]))
    ledger.heard.clear()
    return rung


@pytest.fixture
def no_bells(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """No listener, no broker."""
    settings.GENERATION_LISTENERS = []
    monkeypatch.setattr("inference.queue.doorbell.current_app.send_task", lambda *args, **options: None)
