"""A request that takes part in an experiment: who asks, and what is recorded of it.

Knows nothing of the arms' profiles: the arm's selection goes the way of any other.
"""

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from starlette.datastructures import MutableHeaders
from starlette.types import Message, Scope, Send

from lethe_server import asking, bodies
from lethe_server.exchange import exchange_of
from lethe_server.experiments.assignment import arm_of, pseudonym
from lethe_server.experiments.experiment import Arm, Experiment, Exposure
from lethe_server.experiments.writing import Writer
from lethe_vllm.errors import ConflictError, SelectionError
from lethe_vllm.selection import Selection

HEADER = "X-Unlearning-Experiment"
"""Of a request: the experiment. Of a response: the experiment, `/`, and the arm."""
UNIT_HEADER = "X-Unlearning-Unit"
REQUEST_ID_HEADER = "X-Request-Id"

MAX_REQUEST_ID = 200
"""Characters."""

LEFT, FAILED = 499, 500
"""Status of a request that ended before its answer began: by the client, or by an error."""


@dataclass(frozen=True)
class Joining:
    """What a request says of the experiment that it is to take part in.

    Attributes:
        experiment: its name.
        unit: who asks.
    """

    experiment: str
    unit: str


def joining(scope: Scope, body: bytes | None) -> Joining | None:
    """What a request says, if it names an experiment and may generate, which only POST can.

    Args:
        scope: of the request.
        body: what may be JSON that names the user, or None.

    Raises:
        SelectionError: several experiments or units, no unit, or a header that cannot be read.
    """
    experiment = _only(scope, HEADER) if scope["method"] == "POST" else None
    return None if experiment is None else Joining(experiment, _unit(scope, body))


def _unit(scope: Scope, body: bytes | None) -> str:
    header = _only(scope, UNIT_HEADER)
    named = [header] if header is not None else _in_body(body)
    if not named:
        raise SelectionError(
            f"experiment: expected a unit, found none; send the {UNIT_HEADER} header, or 'user' or "
            "'safety_identifier' in the body ('metadata.user_id' in Anthropic's form)"
        )
    return named[0]


def _in_body(body: bytes | None) -> list[str]:
    document = dict(asking.fields(body) or []) if body else {}
    metadata = document.get("metadata")
    inner = metadata.get("user_id") if isinstance(metadata, dict) else None
    found = document.get("user"), document.get("safety_identifier"), inner
    return [value for value in found if isinstance(value, str) and value]


def _only(scope: Scope, header: str) -> str | None:
    values = sorted(set(bodies.header_values(scope, header.lower())))
    if len(values) > 1:
        raise SelectionError(
            f"{header}: expected one value, found {len(values)} different ones "
            f"({', '.join(value[:40] for value in values[:3])}); send one"
        )
    return _text(header, values[0]) if values else None


def _text(header: str, value: str) -> str:
    # A unit in a header is the same as that unit in a body, which is UTF-8.
    try:
        return value.encode("latin-1").decode()
    except UnicodeDecodeError:
        raise SelectionError(
            f"{header}: expected UTF-8, found {value[:40]!r}; encode it so"
        ) from None


class TakingPart:
    """One request in an experiment; as a context, recorded once however it ends.

    Attributes:
        selection: what it is to be served by.
    """

    def __init__(
        self,
        experiment: Experiment,
        unit: str,
        asked: Selection | None,
        scope: Scope,
        writer: Writer,
        check: Callable[[str, Selection], None],
    ) -> None:
        """Assigns the unit.

        Args:
            experiment: as it is now.
            unit: who asks.
            asked: the selection that the request makes itself.
            scope: of the request.
            writer: of what is recorded.
            check: given the experiment and what serves the arm, raises what forbids it; before
                anything is recorded or said of the arm.

        Raises:
            ConflictError: the experiment is stopped.
            SelectionError: the unit cannot be one, or the request asks for what is not its arm's.
            LetheError: what `check` raises.
        """
        if experiment.stopped is not None:
            raise ConflictError(
                f"experiment {experiment.name}: expected a running one, found it stopped; "
                f"leave out the {HEADER} header"
            )
        self._experiment, self._scope, self._writer = experiment, scope, writer
        self._arm, self._unit = arm_of(experiment, unit), pseudonym(experiment.salt, unit)
        check(experiment.name, self._arm.selection)
        self._request_id = _request_id(scope)
        self._is_recorded = False
        self.selection = _agreed(experiment, self._arm, asked)

    def recording(self, send: Send) -> Send:
        """A channel that names the arm in the response, and records the request."""

        async def send_recorded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message["headers"])
                headers[HEADER] = f"{self._experiment.name}/{self._arm.name}"
                headers.setdefault(REQUEST_ID_HEADER, self._request_id)
                self._record(message["status"])
            await send(message)

        return send_recorded

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not self._is_recorded:
            self._record(FAILED if isinstance(error, Exception) else LEFT)

    def _record(self, status: int) -> None:
        self._is_recorded = True
        exchange = exchange_of(self._scope)
        variant = exchange.variant if exchange.refused is None else None
        self._writer.add(
            Exposure(
                experiment=self._experiment.id,
                request_id=self._request_id,
                unit=self._unit,
                arm=self._arm.name,
                digest=variant.digest if variant is not None else "",
                time=time.time(),
                status=status,
            )
        )


def _agreed(experiment: Experiment, arm: Arm, asked: Selection | None) -> Selection:
    agreed = arm.selection if asked is None else arm.selection.agreed(asked)
    if agreed is None:
        raise SelectionError(
            f"experiment {experiment.name}: expected no other selection than that of arm "
            f"{arm.name} ({arm.profile}), found {asked}; leave out the {asking.HEADER} header and "
            "the model name's suffix"
        )
    return agreed


def _request_id(scope: Scope) -> str:
    """The exchange's; else the client's, if it can be kept; else one made up."""
    exchange = exchange_of(scope)
    given = [
        exchange.request_id,
        *bodies.header_values(scope, REQUEST_ID_HEADER.lower()),
    ]
    kept = [one for one in given if is_request_id(one)]
    exchange.request_id = kept[0] if kept else uuid.uuid4().hex
    return exchange.request_id


def is_request_id(text: str) -> bool:
    """Whether it can be kept in a database: printable ASCII, and not too long."""
    return 0 < len(text) <= MAX_REQUEST_ID and text.isascii() and text.isprintable()
