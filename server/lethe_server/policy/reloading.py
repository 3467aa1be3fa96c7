"""Has the policy read again: POST /v1/unlearning/policy/reload, and SIGHUP."""

import asyncio
import signal
from typing import Literal

from fastapi import APIRouter, Request

from lethe_server.documents import Document
from lethe_server.errors import PolicyError
from lethe_server.openapi import refusals
from lethe_server.policy.following import PolicyFile
from lethe_server.serving import Serving

router = APIRouter(tags=["unlearning"])


class Reloaded(Document):
    """What is in force now.

    Attributes:
        keys: their names.
        anonymous: whether requests without a key are served.
    """

    object: Literal["unlearning.policy"] = "unlearning.policy"
    keys: list[str]
    anonymous: bool


@router.post("/v1/unlearning/policy/reload", responses=refusals(409))
async def reload(request: Request) -> Reloaded:
    """Reads the policy file; other processes see for themselves that it changed."""
    serving: Serving = request.app.state.lethe
    if serving.policy is None:
        raise PolicyError(
            "policy: expected a server that has one, found none; start it with "
            "'lethe serve --policy FILE'"
        )
    file = serving.policy
    change = serving.watching.audit.change("policy", str(file.path), file.policy.digest, None)
    async with change as line:
        policy = file.reload()
        line["after"] = policy.digest
    names = [caller.name or "" for _, caller in policy.keys]
    return Reloaded(keys=names, anonymous=policy.anonymous is not None)


def on_hangup(file: PolicyFile) -> None:
    """Has this process read the file at SIGHUP, which would otherwise end it."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, file.on_signal)
