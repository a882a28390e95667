"""A request becomes the exact prompt: the FSPO layout, byte for byte, and the chat layout. Pure text, no tokenizer.

The FSPO layout is that of the method's released training code (Singh et al., arXiv 2502.19312), so that a checkpoint
trained by its authors works here unchanged: plain markdown, no chat template, no BOS, one space after the headings
``## Question``, ``## Preferred Response`` and ``## Dispreferred Response`` and none after the others. Training and
serving both call these functions.

``python -m inference.prompts < request.json`` writes exactly the prompt's bytes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from inference.contracts import GenerationRequest, Layout, ModelSpec, PermanentError, Prompt, Purpose, Shot

QUESTION_HEADING = "## Question \n"
PREFERRED_HEADING = "## Preferred Response \n"
DISPREFERRED_HEADING = "## Dispreferred Response \n"
DESCRIPTION_HEADING = "## User Description\n"

ZERO_SHOT_TASK = "Generate a response to the following question.\n"
FEW_SHOT_TASK = "Given the examples above, generate a preferred response to the following question.\n"
RATIONALE_TASK = (
    "Generate a user description based on the examples above. "
    "Then, generate a preferred response to the following question.\n"
)

# A completion opens with its own heading, which no newline precedes: only a second heading can stop it.
ANSWER_STOPS = ("\n# Example", "\n# Task", "\n## Question", "\n## Dispreferred Response", "\n## User Description")
DESCRIPTION_STOPS = ("\n# ", "\n## ")


def fspo_prompt(
    question: str, shots: Sequence[Shot], *, rationale: bool = False, description: str | None = None
) -> str:
    """The FSPO prompt for `question` after `shots`; it ends with the newline after its last text.

    `rationale` asks for a description of the user first (RAT); it needs at least one shot and is ignored without.
    `description` is appended for RAT's second step, and, with zero shots, for the oracle. Texts are stripped.
    """
    parts = [_example(number, shot) for number, shot in enumerate(shots, start=1)]
    parts.append("# Task\n")
    if not shots:
        parts.append(ZERO_SHOT_TASK)
    else:
        parts.append(RATIONALE_TASK if rationale else FEW_SHOT_TASK)
    parts.append(f"{QUESTION_HEADING}{question.strip()}\n")
    if description is not None:
        parts.append(description_target(description))
    return "".join(parts)


def fspo_target(answer: str) -> str:
    """What the model writes after an FSPO prompt, without the end-of-sequence token."""
    return f"{PREFERRED_HEADING}{answer.strip()}\n"


def description_target(description: str) -> str:
    """What the model writes in RAT's first step; the same bytes end the prompt of the second."""
    return f"{DESCRIPTION_HEADING}{description.strip()}\n"


def chat_messages(
    question: str,
    shots: Sequence[Shot] = (),
    *,
    instruction: str | None = None,
    description: str | None = None,
    describe: bool = False,
) -> list[dict[str, str]]:
    """The chat layout: an optional system message (`instruction`) and one user message.

    Without shots and description the user message is the bare question. Shots come first, each with both texts and
    which one the person preferred; then the description; the question is last. `describe` asks for a description of
    the person instead of an answer (RAT's first step) and needs shots.
    """
    messages = [{"role": "system", "content": instruction.strip()}] if instruction and instruction.strip() else []
    parts = [_chat_example(number, shot) for number, shot in enumerate(shots, start=1)]
    if parts:
        parts.insert(0, "Here are answers that one person compared, and which one they preferred each time.")
    if description is not None:
        parts.append(f"A description of this person:\n{description.strip()}")
    if describe:
        parts.append(
            "In two or three sentences, describe what this person likes in an answer. Write the description only. "
            f"It will be used for this question:\n{question.strip()}"
        )
    elif parts:
        parts.append(
            "Answer the following question the way this person would prefer. Write the answer only; do not mention "
            f"the person, their preferences or the answers above.\n\nQuestion: {question.strip()}"
        )
    else:
        parts.append(question.strip())
    return [*messages, {"role": "user", "content": "\n\n".join(parts)}]


def build(request: GenerationRequest, *, fits: Callable[[Prompt], bool] | None = None) -> Prompt:
    """The prompt of `request` in its layout; whole shots are dropped, oldest first, until `fits` agrees.

    `fits` answers whether a prompt together with room for the new tokens fits the model's context; without it every
    prompt fits. Raises PermanentError for a request no prompt exists for, and when nothing is left to drop.
    """
    _refuse_impossible(request)
    fewest = 1 if request.purpose == "description" else 0
    for dropped in range(len(request.shots) - fewest + 1):
        prompt = _build_with(request, request.shots[dropped:], dropped)
        if fits is None or fits(prompt):
            return prompt
    raise PermanentError(
        f"the question of {len(request.question.split())} words with {request.sampling.max_tokens} new tokens does not "
        f"fit the context of model {request.model.source!r} even with {fewest} of {len(request.shots)} shots: shorten "
        "the question, description or instruction, lower max_tokens, or take a model with a longer context"
    )


def _example(number: int, shot: Shot) -> str:
    return (
        f"# Example {number}\n"
        f"{QUESTION_HEADING}{shot.question.strip()}\n"
        f"{PREFERRED_HEADING}{shot.preferred.strip()}\n"
        f"{DISPREFERRED_HEADING}{shot.dispreferred.strip()}\n"
        "\n"
    )


def _chat_example(number: int, shot: Shot) -> str:
    return (
        f"Example {number}\nQuestion: {shot.question.strip()}\n"
        f"Preferred answer: {shot.preferred.strip()}\nOther answer: {shot.dispreferred.strip()}"
    )


def _refuse_impossible(request: GenerationRequest) -> None:
    if request.layout not in get_args(Layout):
        raise PermanentError(f"layout {request.layout!r} is unknown: use one of {', '.join(get_args(Layout))}")
    if not request.question.strip():
        raise PermanentError("the question is empty: give the text to answer")
    if request.purpose == "description" and not request.shots:
        raise PermanentError("a description is written from shots and the request has none: give at least one shot")
    if request.layout == "fspo" and request.instruction:
        raise PermanentError('the fspo layout has no place for an instruction: use layout = "chat", or drop it')


def _build_with(request: GenerationRequest, shots: tuple[Shot, ...], dropped: int) -> Prompt:
    describe = request.purpose == "description"
    description = None if describe else request.description
    if request.layout == "chat":
        messages = chat_messages(
            request.question, shots, instruction=request.instruction, description=description, describe=describe
        )
        return Prompt(None, tuple(messages), (), len(shots), dropped)
    text = fspo_prompt(request.question, shots, rationale=request.rationale or describe, description=description)
    return Prompt(text, None, DESCRIPTION_STOPS if describe else ANSWER_STOPS, len(shots), dropped)


def continuation(layout: Layout, text: str) -> str:
    """What a model in this layout would have to write to give `text` as its answer."""
    return text if layout == "chat" else fspo_target(text)


# ---- python -m inference.prompts

Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]


class _PlainShot(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    question: Text
    preferred: Text
    dispreferred: Text


class _PlainRequest(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    layout: Literal["fspo", "chat"]
    question: Text
    rationale: bool = False
    shots: list[_PlainShot] = []
    description: Text | None = None
    instruction: Text | None = None
    purpose: Literal["answer", "description"] | None = None
    # The rest of a stored request: accepted, so that one can be piped in as it is, and without influence on the prompt.
    model: Any = None
    adapter: Any = None
    sampling: Any = None
    window: Any = None

    def snapshot(self) -> GenerationRequest:
        step_one = self.rationale and self.shots and self.description is None
        purpose: Purpose = self.purpose or ("description" if step_one else "answer")
        return GenerationRequest(
            model=ModelSpec(engine="none", source="none"),
            layout=self.layout,
            question=self.question,
            shots=tuple(Shot(shot.question, shot.preferred, shot.dispreferred) for shot in self.shots),
            description=self.description,
            rationale=self.rationale,
            instruction=self.instruction,
            purpose=purpose,
        )


def prompt_bytes(raw: bytes) -> bytes:
    """The prompt's exact bytes for a JSON request (chat: the message list as JSON, no newline added).

    Raises ValidationError or PermanentError for anything that is no such request.
    """
    prompt = build(_PlainRequest.model_validate_json(raw).snapshot())
    return (prompt.text if prompt.text is not None else json.dumps(prompt.messages, ensure_ascii=False)).encode()


def _problems(error: ValidationError) -> list[str]:
    return [
        f"{'.'.join(map(str, item['loc'])) or 'request'}: {item['msg'][:1].lower()}{item['msg'][1:]}"
        for item in error.errors(include_url=False, include_input=False)
    ]


def main() -> int:
    """Read a request from standard input, write the prompt's bytes; 2 and a message when the request is wrong."""
    try:
        output = prompt_bytes(sys.stdin.buffer.read())
    except (ValidationError, PermanentError) as error:
        problems = _problems(error) if isinstance(error, ValidationError) else [str(error)]
        for problem in problems:
            print(f"inference.prompts: standard input: {problem}", file=sys.stderr)
        print(
            'inference.prompts: expected JSON like {"layout": "fspo", "question": "...", "rationale": false, "shots": '
            '[{"question": "...", "preferred": "...", "dispreferred": "..."}], "description": null}',
            file=sys.stderr,
        )
        return 2
    sys.stdout.buffer.write(output)
    sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
