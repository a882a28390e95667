"""One simulated participant from entry to exit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from studyapp.simulate.browser import Browser, Page, PageError
from studyapp.simulate.habits import Habit, Mind

MAX_STEPS = 400
POLL_S = 3.0
ENDS = ("done", "ended")


@dataclass(slots=True)
class Diary:
    """What a person did and was told: acknowledged choices by pair id, waits, faults."""

    code: str = ""
    habit: str = ""
    end: str = ""
    choices: dict[str, set[str]] = field(default_factory=dict)
    judgments: dict[str, set[str]] = field(default_factory=dict)
    wait_s: float = 0.0
    requests: int = 0
    reconnects: int = 0
    error: str = ""
    erased: bool = False


@dataclass(slots=True)
class Person:
    """A mind with a browser and an invite."""

    mind: Mind
    browser: Browser
    slug: str
    invite: str
    think: float
    diary: Diary = field(default_factory=Diary)
    leave_after: int = 0

    async def live(self) -> Diary:
        """Take part; faults end up in the diary, never in the air."""
        self.diary.habit = self.mind.habit
        self.leave_after = self.mind.rng.randrange(3, 16)
        try:
            await self._take_part()
        except PageError as error:
            self.diary.error = str(error)
        except Exception as error:  # a simulated person must not end the crowd
            self.diary.error = f"{type(error).__name__}: {error}"
        self.diary.requests, self.diary.reconnects = self.browser.requests, self.browser.reconnects
        await self.browser.close()
        return self.diary

    async def _take_part(self) -> None:
        page = await self.browser.get(f"/s/{self.slug}/?invite={self.invite}")
        steps: dict[str, Callable[[Page], Awaitable[Page]]] = {
            "entry": self._press,
            "consent": self._consent,
            "instructions": self._press,
            "shots": self._pair,
            "wait": self._wait,
            "judge": self._pair,
            "break": self._press,
            "debrief": self._press,
        }
        for _ in range(MAX_STEPS):
            if page.name in ENDS or self.diary.end:
                self.diary.end = self.diary.end or page.name
                return
            if page.name not in steps:
                raise PageError(f"{page.url} is no page of the study loop")
            page = await steps[page.name](page)
        raise PageError(f"still not at the end after {MAX_STEPS} pages, now at {page.url}")

    async def _press(self, page: Page) -> Page:
        return await self.browser.submit(page.form(), {})

    async def _consent(self, page: Page) -> Page:
        return await self.browser.submit(page.form(), {"age": "yes", "agree": "yes", "decision": "agree"})

    async def _pair(self, page: Page) -> Page:
        answered = len(self.diary.choices) + len(self.diary.judgments)
        if answered >= self.leave_after and self.mind.habit in (Habit.DROP_OUT, Habit.STOPPER):
            return await self._leave(page)
        await asyncio.sleep(self.mind.think_s(self.think))
        form = page.form("pair")
        choice, strength = self.mind.decide(*page.texts())
        values = {"choice": choice, "page_ms": "1500"}
        if page.name == "judge":
            values |= {"strength": str(strength), "input": "pointer"}
        return await self._send_pair(page, form.fields["pair"], values)

    async def _send_pair(self, page: Page, pair: str, values: dict[str, str]) -> Page:
        form, habit, kept = page.form("pair"), self.mind.habit, {values["choice"]}
        other = {**values, "choice": "second" if values["choice"] == "first" else "first"}
        if habit is Habit.DOUBLE_CLICKER:
            shown, _ = await asyncio.gather(self.browser.submit(form, values), self.browser.send(form, values))
        elif habit is Habit.TWO_TABS:
            kept = {"first", "second"}  # both tabs at once: either may be the one that stands
            shown, _ = await asyncio.gather(self.browser.submit(form, values), self.browser.send(form, other))
        elif habit is Habit.BACK_BUTTON:
            await self.browser.submit(form, values)
            self.browser.page = page
            shown = await self.browser.submit(form, other)  # back, changed their mind: the first answer stands
        else:
            shown = await self.browser.submit(form, values)
        (self.diary.judgments if page.name == "judge" else self.diary.choices)[pair] = kept
        return shown

    async def _leave(self, page: Page) -> Page:
        self.diary.end = self.mind.habit
        if self.mind.habit is Habit.STOPPER:
            way = self.mind.rng.choice(("keep", "erase"))
            leaving = await self.browser.get(f"/s/{self.slug}/stop/{way}/")
            await self.browser.submit(leaving.form(), {})
            self.diary.erased = way == "erase"
        return page

    async def _wait(self, page: Page) -> Page:
        started = time.monotonic()
        status = page.tree.css_first("#wait-status")
        live = status.attributes.get("data-live") if status else None
        if not (live and await self.browser.nudge(urlsplit(live).path, POLL_S)):
            # A socket that is refused at once is no reason to ask more often than a page does.
            await asyncio.sleep(max(0.0, POLL_S - (time.monotonic() - started)))
        shown = await self.browser.get(f"/s/{self.slug}/wait/")
        self.diary.wait_s += time.monotonic() - started
        return shown
