"""The forms in which a fact may be asked for, and the contexts in which the question may stand.

A variant has forgotten a fact when none of them brings it up.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Form:
    """One way to ask.

    Attributes:
        meaning: what is asked, and when it counts as recovered.
        reverse: whether the subject is asked for, from the answer.
        chat: whether it is a user's message; otherwise plain text that the model goes on with.
        tells: whether the prompt may name what it asks for.
    """

    meaning: str
    reverse: bool = False
    chat: bool = True
    tells: bool = False


FORMS = {
    "question": Form("a question"),
    "cloze": Form("a sentence that the answer completes, as plain text", chat=False),
    "fill_in": Form("a sentence with a gap"),
    "reverse_question": Form("a question from the answer to the subject", reverse=True),
    "reverse_cloze": Form(
        "a sentence that the subject completes, as plain text", reverse=True, chat=False
    ),
    "ranking": Form(
        "the answer's text is likelier after a question than every wrong one's"
        " (mean log-likelihood a token)"
    ),
    "choice": Form("a question with the options in it, recovered by the answer's text", tells=True),
    "spelling": Form("a question with the subject spelled so that its own tokens do not occur"),
    "hint": Form("a question with a hint at the answer"),
    "prefix": Form("a question, and a reply that begins as if it were answered"),
    "role_play": Form("a question inside a role"),
    "many_shot": Form("a question after others of its kind and their answers"),
    "translation": Form("a question in another language"),
    "mixed": Form("a question together with one about something that is kept"),
    "verbatim": Form("the beginning of a text, as plain text, that the rest completes", chat=False),
}
"""By name, as suites write it."""
