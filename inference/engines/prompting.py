"""From a prompt to the model's tokens, the same for every engine that tokenises here."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from inference.contracts import PermanentError, Prompt, ScoreRequest

TOKENIZER_FILES = (
    "tokenizer*",
    "special_tokens_map.json",
    "vocab*",
    "merges.txt",
    "added_tokens.json",
    "chat_template*",
)


def tokenizer_files(folder: Path) -> set[Path]:
    """The files of a model folder that decide how text becomes tokens."""
    return {file for pattern in TOKENIZER_FILES for file in folder.glob(pattern)}


def own_context(config: Any, tokenizer: Any) -> int:
    """How many tokens a model takes, as its configuration and its tokenizer say."""
    limits = [getattr(config, "max_position_embeddings", None), tokenizer.model_max_length]
    return min((int(limit) for limit in limits if limit and limit < 10**9), default=2048)


REMEMBERED = 512  # prompts whose tokens are kept between counting and sending


class Prompting:
    """A tokenizer and the rule that no token is added to what a layout says."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self._remembered = lru_cache(maxsize=REMEMBERED)(self._tokens)

    def text(self, prompt: Prompt) -> str:
        """The exact text that is tokenised: the FSPO prompt as it is, or the chat in the tokenizer's own template."""
        if prompt.text is not None:
            return prompt.text
        if not self.tokenizer.chat_template:
            raise PermanentError(
                'the model\'s tokenizer has no chat template: set layout = "fspo" or take a chat model'
            )
        try:
            text: str = self.tokenizer.apply_chat_template(
                list(prompt.messages or ()), tokenize=False, add_generation_prompt=True
            )
        except Exception as error:  # a template is the model's own program and may raise anything
            raise PermanentError(f"the model's chat template refuses these messages: {error}") from error
        return text

    def tokens(self, text: str) -> list[int]:
        """Token ids without any special token added: no BOS before FSPO, and a chat template writes its own."""
        return list(self._remembered(text))

    def _tokens(self, text: str) -> tuple[int, ...]:
        return tuple(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def room(self, prompt: Prompt, max_tokens: int, max_context: int) -> list[int]:
        """The prompt's tokens; raises PermanentError when it is empty or leaves no room for `max_tokens` more."""
        ids = self.tokens(self.text(prompt))
        if not ids:
            raise PermanentError("the prompt is empty: give a question")
        if len(ids) + max_tokens > max_context:
            raise PermanentError(
                f"{len(ids)} prompt tokens and {max_tokens} new ones exceed the context of {max_context}: "
                "drop shots, shorten the question, or lower max_tokens"
            )
        return ids

    def pieces(self, text: str) -> list[str]:
        """The text cut into its tokens."""
        return [self.tokenizer.decode([number]) for number in self.tokens(text)]

    def scored(self, request: ScoreRequest, max_context: int) -> tuple[list[int], list[int]]:
        """The tokens of prompt and continuation, apart; raises PermanentError when one is empty or they do not fit."""
        after = self.tokens(request.continuation)
        if not after:
            raise PermanentError("the text to be scored is empty")
        return self.room(request.prompt, len(after), max_context), after
