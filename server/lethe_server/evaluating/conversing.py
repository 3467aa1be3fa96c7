"""What is sent to a server, for a prompt or a given text, and which tokens of it are read.

Knows no connection. A begun reply is the last message, which the chat template leaves open.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

from lethe_projections import chat
from lethe_projections.evaluation.forms import FORMS
from lethe_projections.evaluation.prompt import Prompt
from lethe_projections.examples import Example

SAMPLE: tuple[chat.Message, ...] = (
    {"role": "user", "content": "How many is 2 + 2?"},
    {"role": "assistant", "content": "Four."},
    {"role": "user", "content": "And 3 + 3?"},
)
"""A conversation that shows the chat template, and the system prompt that it adds."""


def fingerprint(ids: Sequence[int]) -> str:
    """sha256 of token ids, 64 hex digits."""
    return hashlib.sha256(",".join(map(str, ids)).encode()).hexdigest()


def is_chat(prompt: Prompt) -> bool:
    """Whether it is asked as a conversation."""
    return FORMS[prompt.form].chat


def of_prompt(prompt: Prompt, more: str = "") -> dict[str, Any]:
    """A prompt as part of a request's body.

    Args:
        prompt: which.
        more: text that follows it.
    """
    if is_chat(prompt):
        return conversation(prompt.messages, prompt.reply + more)
    return {"prompt": prompt.turns[0] + more}


def conversation(messages: Sequence[chat.Message], reply: str = "") -> dict[str, Any]:
    """A conversation that goes on with the assistant's reply, or within it."""
    if not reply:
        return {"messages": list(messages), "add_generation_prompt": True}
    return {
        "messages": [*messages, {"role": "assistant", "content": reply}],
        "add_generation_prompt": False,
        "continue_final_message": True,
    }


def of_text(text: Example) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """A given text as part of a request's body, and what comes before the part that is read.

    Returns:
        The whole; and the conversation up to the reply, or None for plain text, of which the
        second half is read.
    """
    if text.text:
        return {"prompt": text.text}, None
    messages = [{"role": role, "content": content} for role, content in text.prompt]
    return conversation(messages, text.answer), conversation(messages)


def begin(ids: Sequence[int], before: Sequence[int] | None) -> int:
    """Where in a tokenised text the part that is read begins; one token at least is before it.

    Args:
        ids: of the whole.
        before: of what comes before; None for plain text.
    """
    if before is None:
        return max(1, len(ids) // 2)
    return max(1, chat.shared_prefix(ids, before))
