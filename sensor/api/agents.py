"""GET /agents, /agents/summary, /healthz and /metrics: whose traffic there is, how the agents do,
and how this server does."""

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import PlainTextResponse, Response

from sensor.analytics import fleet
from sensor.api.asking import Store, answer
from sensor.api.errors import PROBLEMS
from sensor.api.live import Live
from sensor.api.schemas import Agent, FleetAgent, FleetSummary, Health
from sensor.model.time import microseconds_now

router = APIRouter(tags=["agents"], responses=PROBLEMS)

Workspace = Annotated[str | None, Query(min_length=1, max_length=255)]
ORDER = (
    "by the newest packet (newest last; with - first), by host name, or worst first: the most"
    " severe open event, then what went unseen, then the longest silence"
)


@router.get("/agents", response_model=list[FleetAgent | Agent])
def list_agents(
    request: Request,
    store: Store,
    workspace_id: Workspace = None,
    live: Annotated[bool | None, Query(description="only these, or only the others")] = None,
    status: Annotated[list[fleet.Status], Query(max_length=4)] = [],  # noqa: B006 - it is copied
    search: Annotated[
        str,
        Query(max_length=255, description="part of host name, id, workspace, region or version"),
    ] = "",
    sort: Annotated[fleet.Order, Query(description=ORDER)] = "last_packet",
    limit: Annotated[int, Query(ge=1, le=1000)] = 1000,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
    include_health: Annotated[bool, Query(description="false: only whose traffic there is")] = True,
) -> Response:
    """Every agent once, page by page: X-Total-Count says how many, Link where the next page is."""
    asked = fleet.Asked(
        workspace_id, live, frozenset(status), search, sort, limit, offset, include_health
    )
    found, total = fleet.agents(store, asked, microseconds_now())
    headers = {"x-total-count": str(total)}
    if offset + limit < total:
        rest = [(k, v) for k, v in request.query_params.multi_items() if k != "offset"]
        query = urlencode([*rest, ("offset", str(offset + limit))])
        headers["link"] = f'<{request.url.path}?{query}>; rel="next"'
    return answer(request, found, headers)


@router.get("/agents/summary", response_model=FleetSummary)
def summarise_agents(request: Request, store: Store, workspace_id: Workspace = None) -> Response:
    """How many agents there are by status and version, and what is open."""
    return answer(request, fleet.summary(store, workspace_id, microseconds_now()))


@router.get("/healthz", response_model=Health)
def health(request: Request, store: Store) -> Response:
    """200 when the store can be read; needs no token and tells nothing else."""
    store.agents("")
    return answer(request, {"status": "ok"})


@router.get("/metrics", response_class=PlainTextResponse)
def metrics(request: Request, store: Store) -> str:
    """Prometheus's text format; of the daemon too, where it runs on this host."""
    live: Live = request.app.state.live
    lines = [
        "# HELP sensor_api_websocket_clients WebSockets that are open.",
        "# TYPE sensor_api_websocket_clients gauge",
        f"sensor_api_websocket_clients {len(live.clients)}",
        "# HELP sensor_api_dropped_messages_total Messages that slow WebSockets did not get.",
        "# TYPE sensor_api_dropped_messages_total counter",
        f"sensor_api_dropped_messages_total {live.dropped}",
        "# HELP sensor_newest_packet_timestamp_seconds Newest packet of an agent.",
        "# TYPE sensor_newest_packet_timestamp_seconds gauge",
        *(
            f'sensor_newest_packet_timestamp_seconds{{agent_id="{run.agent_id}"}}'
            f" {run.last_packet / 1e6:.6f}"
            for run in store.newest_runs()
            if run.last_packet is not None and run.agent_id.isascii()
            and run.agent_id.isprintable() and '"' not in run.agent_id
        ),
    ]  # fmt: skip
    lines += request.app.state.settings.more_metrics()
    return "\n".join(lines) + "\n"
