"""GET /agents, /healthz and /metrics: whose traffic there is, and how this server does."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import PlainTextResponse, Response

from sensor.analytics.figures import time_text
from sensor.api.asking import Store, answer
from sensor.api.errors import PROBLEMS
from sensor.api.live import Live
from sensor.api.schemas import Agent, Health
from sensor.model.rows import AgentRow
from sensor.model.time import microseconds_now

LIVE_US = 300 * 1_000_000

router = APIRouter(tags=["agents"], responses=PROBLEMS)


def newest_runs(runs: list[AgentRow]) -> dict[str, AgentRow]:
    """Each agent's newest run, with the first packet of all its runs."""
    made: dict[str, AgentRow] = {}
    for run in runs:
        before = made.get(run.agent_id)
        firsts = [r.first_packet for r in (before, run) if r and r.first_packet is not None]
        made[run.agent_id] = run._replace(first_packet=min(firsts, default=None))
    return made


@router.get("/agents", response_model=list[Agent])
def list_agents(
    request: Request,
    store: Store,
    workspace_id: Annotated[str | None, Query(min_length=1, max_length=255)] = None,
) -> Response:
    """Every agent once, the one with the newest packet last."""
    now = microseconds_now()
    return answer(
        request,
        [
            {
                "agent_id": run.agent_id,
                "workspace_id": run.workspace_id,
                "hostname": run.hostname,
                "network_id": run.network_id,
                "region": run.region,
                "version": run.version,
                "source": run.source,
                "first_packet": time_text(run.first_packet),
                "last_packet": time_text(run.last_packet),
                "live": run.source == "live"
                and run.last_packet is not None
                and now - run.last_packet <= LIVE_US,
            }
            for run in newest_runs(store.agents(workspace_id)).values()
        ],
    )


@router.get("/healthz", response_model=Health)
def health(request: Request, store: Store) -> Response:
    """200 when the store can be read; needs no token and tells nothing else."""
    store.agents("")
    return answer(request, {"status": "ok"})


@router.get("/metrics", response_class=PlainTextResponse)
def metrics(request: Request, store: Store) -> str:
    """Prometheus's text format; of the daemon too, where it runs on this host."""
    live: Live = request.app.state.live
    newest = newest_runs(store.agents())
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
            f'sensor_newest_packet_timestamp_seconds{{agent_id="{agent}"}}'
            f" {run.last_packet / 1e6:.6f}"
            for agent, run in newest.items()
            if run.last_packet is not None and agent.isascii() and agent.isprintable()
            and '"' not in agent
        ),
    ]  # fmt: skip
    lines += request.app.state.settings.more_metrics()
    return "\n".join(lines) + "\n"
