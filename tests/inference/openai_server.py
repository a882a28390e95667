"""An HTTP server that speaks OpenAI's interface as vLLM does, and fails on demand. It counts words as tokens.

What it says comes from an engine, if it is given one.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from inference.contracts import Completion, EngineRequest, Prompt, Sampling
from inference.engines import Engine

MODEL = "palate"


@dataclass
class Script:
    """What the server does and saw. `failures` are statuses of the next completions; 0 hangs up without an answer.

    `engine` answers chats.
    """

    engine: Engine | None = None

    can_tokenize: bool = True
    max_model_len: int | None = 64
    failures: list[int] = field(default_factory=list)
    garbage: bool = False
    seen: list[tuple[str, dict[str, Any], str | None]] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def tokens(self, text: str) -> list[int]:
        """Numbers of the words of a text."""
        with self.lock:
            for word in text.split():
                if word not in self.words:
                    self.words.append(word)
            return [self.words.index(word) for word in text.split()]

    def completions(self) -> list[dict[str, Any]]:
        """The bodies of completions, in order of arrival."""
        return [body for path, body, _ in self.seen if path.endswith("/completions")]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, script: Script) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script = script


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Models and version."""
        script = self.server.script
        card: dict[str, Any] = {"id": MODEL, "root": "/models/palate"}
        if script.max_model_len:
            card["max_model_len"] = script.max_model_len
        pages: dict[str, dict[str, Any]] = {"/v1/models": {"data": [card]}, "/version": {"version": "9.9"}}
        if self.path in pages:
            self._say(200, pages[self.path])
        else:
            self._say(404, {"error": {"message": "no such page"}})

    def do_POST(self) -> None:
        """Tokens and completions."""
        script = self.server.script
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        script.seen.append((self.path, body, self.headers.get("Authorization")))
        if self.path == "/tokenize" and script.can_tokenize:
            self._say(200, {"tokens": script.tokens(body.get("prompt") or json.dumps(body["messages"]))})
        elif self.path.endswith("/completions"):
            self._complete(script, body)
        else:
            self._say(404, {"detail": "Not Found"})

    def _complete(self, script: Script, body: dict[str, Any]) -> None:
        status = script.failures.pop(0) if script.failures else 200
        if status == 0:
            self.connection.close()
        elif status != 200:
            self._say(status, {"error": {"message": f"told to say {status}"}})
        elif script.garbage:
            self._say(200, {"choices": []})
        elif script.engine is not None:
            self._say(200, _chat(script.engine, body))
        else:
            self._say(200, _completion(body))

    def _say(self, status: int, values: dict[str, Any]) -> None:
        content = json.dumps(values).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _completion(body: dict[str, Any]) -> dict[str, Any]:
    text = f"answer {body['seed']}"
    choice: dict[str, Any] = {"index": 0, "finish_reason": "stop"}
    choice |= {"text": text} if "prompt" in body else {"message": {"role": "assistant", "content": text}}
    usage = {"prompt_tokens": 11, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 8}}
    return {"choices": [choice], "usage": usage}


def _chat(engine: Engine, body: dict[str, Any]) -> dict[str, Any]:
    prompt = Prompt(None, tuple(body["messages"]), tuple(body["stop"] or ()), 0, 0)
    sampling = Sampling(body["temperature"], body["top_p"], body["max_tokens"])
    (made,) = engine.generate([EngineRequest("", prompt, sampling, body["seed"])])
    assert isinstance(made, Completion)
    message = {"role": "assistant", "content": made.text}
    usage = {"prompt_tokens": made.prompt_tokens, "completion_tokens": made.completion_tokens}
    return {"choices": [{"index": 0, "finish_reason": made.finish_reason, "message": message}], "usage": usage}


@contextmanager
def serving(script: Script) -> Iterator[str]:
    """Serve a script; the address up to and with /v1."""
    server = _Server(script)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        server.server_close()
