// Palate's pages work without this file. It adds: keys, time to decision, a nudge on the wait page, copy buttons,
// a kind word when the connection is lost, what a screen reader should hear, and where the focus goes after a swap.
"use strict";
(() => {
  const all = (selector, root = document) => root.querySelectorAll(selector);
  const one = (selector, root = document) => root.querySelector(selector);
  let shownAt = 0; // performance.now() counts from the navigation, so a whole page begins at 0

  // --- for ears: one polite region that outlives every swap, emptied so that the same words are heard again ----------
  let speaking = 0;
  const announce = (text) => {
    one("#announce").textContent = "";
    clearTimeout(speaking);
    speaking = setTimeout(() => { one("#announce").textContent = text; }, 100);
  };

  // --- keys 1, 2 and 0: only while the choice has the focus, and only while their switch is on --------------------
  const KEYS = "palate-keys";
  const keysAreOn = () => {
    try { return localStorage.getItem(KEYS) !== "off"; } catch { return true; }
  };
  const rememberKeys = (on) => {
    try { localStorage.setItem(KEYS, on ? "on" : "off"); } catch { /* a private window forgets */ }
  };
  const keySwitch = () => one("[data-keys] input");

  document.addEventListener("keydown", (event) => {
    const group = event.target.closest?.("[data-choice]");
    if (!group) return;
    const form = group.closest("form");
    const plain = !(event.ctrlKey || event.altKey || event.metaKey);
    const option = plain && one(`[data-key="${CSS.escape(event.key)}"]`, group);
    if (option && keySwitch()?.checked) {
      option.checked = true;
      option.focus();
      form.elements.input.value = "key";
      event.preventDefault();
    } else if (event.key.startsWith("Arrow") || event.key === " ") {
      form.elements.input.value = "key";
    }
  });
  document.addEventListener("pointerdown", (event) => {
    const form = event.target.closest?.("[data-choice]")?.closest("form");
    if (form) form.elements.input.value = "pointer";
  });
  document.addEventListener("change", (event) => {
    if (event.target === keySwitch()) rememberKeys(event.target.checked);
  });

  // --- time to decision, and one click once ------------------------------------------------------------------------
  const stamp = (form) => {
    if (form.matches("[data-pair]")) form.elements.page_ms.value = Math.round(performance.now() - shownAt);
  };
  document.addEventListener("submit", (event) => {
    stamp(event.target);
    if (!event.target.matches("[data-once]")) return;
    // A double click is held back; somebody who presses again later has seen nothing happen.
    if (event.timeStamp - (event.target.dataset.sent ?? -Infinity) < 3000) event.preventDefault();
    else event.target.dataset.sent = event.timeStamp;
  }, true);

  // --- the wait page's socket: it only says "look"; the page asks the server what that means ------------------------
  let socket = null, retryMs = 1000, retry = 0;
  const look = () => {
    const status = one("[data-live]");
    if (status) htmx.trigger(status, "look");
  };
  const listen = () => {
    const status = one("[data-live]");
    if (!status) {
      clearTimeout(retry);
      socket?.close();
      socket = null;
      return;
    }
    if (socket && socket.readyState <= WebSocket.OPEN) return;
    try {
      socket = new WebSocket(new URL(status.dataset.live, location.href).href.replace(/^http/, "ws"));
    } catch { return; } // polling goes on
    socket.onmessage = () => { retryMs = 1000; look(); };
    socket.onclose = () => {
      clearTimeout(retry);
      retry = setTimeout(listen, retryMs);
      retryMs = Math.min(retryMs * 2, 30000);
    };
  };

  // What the wait page says aloud: the choice to leave at once, a new count at most every twenty seconds.
  let told = "", toldAt = 0;
  const tellWait = () => {
    const offer = one("#wait-status h2"), text = (offer ?? one("#wait-status .count")).textContent;
    if (text === told || !(offer || performance.now() - toldAt > 20000)) return;
    [told, toldAt] = [text, performance.now()];
    announce(offer ? `${text}. ${offer.nextElementSibling.textContent}` : text);
  };

  // --- copy, countdowns ----------------------------------------------------------------------------------------------
  const copy = async (button) => {
    const source = document.getElementById(button.dataset.copy), name = button.dataset.name ??= button.textContent;
    try {
      await navigator.clipboard.writeText(source.value ?? source.textContent);
      announce("Copied");
      button.style.minWidth = `${button.offsetWidth}px`;
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = name; }, 4000);
    } catch {
      source.select ? source.select() : getSelection().selectAllChildren(source);
      announce("It is selected now. Copy it yourself, please.");
    }
  };
  let ticking = 0;
  const countDown = (seconds, line, then) => {
    const number = one("span", line);
    line.hidden = false;
    announce(line.textContent);
    ticking = setInterval(() => {
      seconds -= 1;
      number.textContent = seconds;
      if (seconds > 0) return;
      clearInterval(ticking);
      then();
    }, 1000);
  };
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button?.matches("[data-copy]")) copy(button);
    if (button?.closest("#lost")) {
      one("#lost").hidden = true;
      one("main button[type=submit]")?.focus();
    }
    if (button?.type === "button" && button.closest("[data-countdown]")) {
      clearInterval(ticking);
      button.closest("[data-countdown]").hidden = true;
      announce("You stay here.");
      one("h1").focus();
    }
  });

  // --- each time a page arrives, whole or swapped in ----------------------------------------------------------------
  const arrive = () => {
    clearInterval(ticking);
    [told, toldAt] = [one("#wait-status .count")?.textContent, performance.now()];
    const toggle = one("[data-keys]");
    if (toggle) {
      toggle.hidden = false;
      keySwitch().checked = keysAreOn();
    }
    if (navigator.clipboard) all("[data-copy]").forEach((button) => { button.hidden = false; });
    const leave = one("[data-redirect]"), again = one("[data-retry]"), line = one("[data-countdown]");
    if (leave && line) countDown(Number(leave.dataset.redirect), line, () => { location.href = one("a", leave).href; });
    if (again && line) countDown(Number(again.dataset.retry), line, () => again.requestSubmit());
    listen();
  };
  document.addEventListener("DOMContentLoaded", () => {
    arrive();
    one("[autofocus]")?.focus();
  });
  document.addEventListener("htmx:afterSettle", (event) => {
    if (event.detail.target.id === "wait-status") tellWait();
    if (event.detail.target.id !== "page") return;
    const problems = one("[autofocus]");
    if (!problems) shownAt = performance.now(); // with problems it is still the same decision
    announce("");
    arrive();
    // The focus is what is heard: the heading, or what is missing. Nothing else says it a second time.
    (problems ?? one("h1"))?.focus({ preventScroll: true });
  });
  // A page out of the back-forward cache may be out of date: ask.
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });

  // --- trouble on the way --------------------------------------------------------------------------------------------
  const lost = (text) => {
    one("#lost p").textContent = text;
    one("#lost").hidden = false;
    one("main button[type=submit]")?.scrollIntoView({ block: "nearest" }); // out from under the message
  };
  const isPoll = (event) => event.detail.elt?.matches?.("[data-live]");
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (!isPoll(event)) one("#lost").hidden = true; // so that a second failure is heard too
  });
  for (const name of ["htmx:sendError", "htmx:timeout"]) {
    document.addEventListener(name, (event) => {
      if (!isPoll(event)) lost("The connection was lost, so this answer is not stored yet. Press the button again in a moment; nothing will be counted twice.");
    });
  }
  document.addEventListener("htmx:responseError", (event) => {
    if (!isPoll(event)) lost("The server could not take this answer just now. Press the button again in a moment; nothing will be counted twice.");
  });
})();
