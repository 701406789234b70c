"""One agent: GET performance, latency, its histogram, bandwidth, connections;
POST optimize-latency.
"""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from sensor.analytics import bandwidth, connections, distribution, latency, performance
from sensor.api.asking import AgentId, Settings, Store, Timeframe, answer, of_agent
from sensor.api.errors import PROBLEMS
from sensor.api.schemas import (
    BandwidthAnalytics,
    Connections,
    Latencies,
    LatencyHistogram,
    LatencyOptimization,
    Performance,
)

MOST_MS = 253_402_300_799_000  # the end of 9999

router = APIRouter(prefix="/analytics/network", tags=["network"], responses=PROBLEMS)


@router.get("/{agent_id}/performance", response_model=Performance)
def get_network_performance(
    request: Request,
    store: Store,
    settings: Settings,
    agent_id: AgentId,
    timeframe: Timeframe = "1h",
    include_geographic: bool = True,
) -> Response:
    """NetworkMetrics of one agent, its series, endpoints and capture health."""
    _, period = of_agent(store, agent_id, timeframe)
    found = performance.analyse(
        store,
        str(agent_id),
        period,
        include_geographic=include_geographic,
        capacity_mbps=settings.capacity_mbps,
    )
    return answer(request, found)


@router.post("/{agent_id}/optimize-latency", response_model=LatencyOptimization)
def optimize_network_latency(
    request: Request,
    store: Store,
    agent_id: AgentId,
    target_p99_ms: Annotated[float, Query(gt=0, le=60_000, allow_inf_nan=False)] = 100,
    regions: Annotated[
        list[Annotated[str, Query(max_length=64)]],
        Query(max_length=300, description="Only endpoints seen in these regions"),
    ] = [],  # noqa: B006 - FastAPI copies it
    timeframe: Timeframe = "24h",
) -> Response:
    """What keeps the 99th percentile above a target, and what would mend that cause."""
    who, period = of_agent(store, agent_id, timeframe)
    found = latency.optimise(store, period.scope(who), target_p99_ms, regions)
    return answer(request, {"agent_id": who, "timeframe": timeframe, **found})


@router.get("/{agent_id}/latency", response_model=Latencies)
def get_latency(
    request: Request, store: Store, agent_id: AgentId, timeframe: Timeframe = "24h"
) -> Response:
    """Rows of latency_optimization_opportunities, the slowest endpoints first."""
    who, period = of_agent(store, agent_id, timeframe)
    rows = latency.analyse(store, period.scope(who))
    return answer(request, {"agent_id": who, "timeframe": timeframe, "opportunities": rows})


@router.get("/{agent_id}/latency-histogram", response_model=LatencyHistogram)
def get_latency_histogram(
    request: Request,
    store: Store,
    agent_id: AgentId,
    timeframe: Timeframe = "1h",
    at: Annotated[
        int | None,
        Query(ge=0, le=MOST_MS, description="ms since 1970, within a step of series; else all"),
    ] = None,
) -> Response:
    """How latency was distributed, in the whole timeframe or in one step of its series."""
    who, period = of_agent(store, agent_id, timeframe)
    return answer(request, distribution.analyse(store, who, period, at))


@router.get("/{agent_id}/bandwidth", response_model=BandwidthAnalytics)
def get_bandwidth(
    request: Request,
    store: Store,
    settings: Settings,
    agent_id: AgentId,
    timeframe: Timeframe = "24h",
) -> Response:
    """Usage, classes of traffic, congestion, strategies and cost."""
    who, period = of_agent(store, agent_id, timeframe)
    found = bandwidth.analyse(
        store,
        who,
        period,
        capacity_mbps=settings.capacity_mbps,
        billing=settings.prices.billing,
    )
    return answer(request, found)


@router.get("/{agent_id}/connections", response_model=Connections)
def get_connections(
    request: Request, store: Store, agent_id: AgentId, timeframe: Timeframe = "1h"
) -> Response:
    """Lifecycle, pools, keep-alive and errors of connections."""
    who, period = of_agent(store, agent_id, timeframe)
    return answer(request, connections.analyse(store, who, period))
