"""What every endpoint needs: a reader, an agent or a workspace that exists, a period, an answer."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Annotated, Any
from uuid import UUID

import msgspec
from fastapi import Depends, Path, Query, Request
from fastapi.responses import Response

from sensor.analytics.timeframe import Period, period_of
from sensor.api.settings import ApiSettings
from sensor.api.stores import Stores
from sensor.model.time import microseconds_now
from sensor.store.reading import ReadingStore, Scope


class NotKnown(LookupError):
    """An agent or a workspace that the store has no rows of."""


def settings_of(request: Request) -> ApiSettings:
    found: ApiSettings = request.app.state.settings
    return found


def store_of(request: Request) -> Iterator[ReadingStore]:
    stores: Stores = request.app.state.stores
    with stores.lent() as store:
        yield store


Store = Annotated[ReadingStore, Depends(store_of)]
Settings = Annotated[ApiSettings, Depends(settings_of)]
AgentId = Annotated[UUID, Path(description="UUID of the agent, see GET /agents")]
WorkspaceId = Annotated[
    str, Query(min_length=1, max_length=255, description="Group of agents, see GET /agents")
]
TIMEFRAME = Query(
    max_length=12,
    description="How far back, from 15m to 90d: a number and s, m, h, d or w",
    examples=["1h", "24h", "30d"],
    json_schema_extra={"pattern": "^[1-9][0-9]{0,6}[smhdw]$"},  # checked by us: 400, not 422
)
Timeframe = Annotated[str, TIMEFRAME]


def of_agent(store: ReadingStore, agent_id: UUID, timeframe: str) -> tuple[str, Period]:
    """The agent's id as the store has it, and the period. NotKnown, BadTimeframe."""
    who = str(agent_id)
    newest = store.newest(Scope(0, 0, (who,)))
    period = period_of(timeframe, newest, microseconds_now())
    if newest is None and not any(run.agent_id == who for run in store.agents()):
        raise NotKnown(f"no agent {who}")
    return who, period


def of_workspace(
    store: ReadingStore, workspace_id: str, timeframe: str, agent_id: UUID | None = None
) -> tuple[Scope, Period]:
    """The scope of a workspace's agents, or of one of them."""
    runs = store.agents(workspace_id)
    if not runs:
        raise NotKnown(f"no workspace {workspace_id}")
    chosen: tuple[str, ...] = ()
    if agent_id is not None:
        chosen = (str(agent_id),)
        if not any(run.agent_id == chosen[0] for run in runs):
            raise NotKnown(f"no agent {agent_id} in that workspace")
    newest = store.newest(Scope(0, 0, chosen, workspace_id))
    period = period_of(timeframe, newest, microseconds_now())
    return Scope(period.since, period.until, chosen, workspace_id), period


def answer(request: Request, document: Any, more: Mapping[str, str] | None = None) -> Response:
    """JSON (NaN is null); 304 when the client has it already, by its ETag."""
    body = msgspec.json.encode(document)
    tag = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
    headers = {"etag": tag, "cache-control": "no-cache", "vary": "Authorization, Cookie"}
    headers |= more or {}
    asked = request.headers.get("if-none-match", "")
    if request.method == "GET" and tag in (part.strip() for part in asked.split(",")):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)
