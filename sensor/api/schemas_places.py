"""The answers' shapes of topology, regions and CDN for OpenAPI; see schemas."""

from pydantic import Field

from sensor.api.schemas import Figure, Shape, Text


class Region(Shape):
    region: str = Field(description="ISO 3166-1 code, private, unknown, or the operator's name")
    name: str
    continental_region: Text = Field(description="the United Nations' sub-region of a country")
    lat: Figure = Field(description="degrees north; null for what is no country")
    lon: Figure = Field(description="degrees east")
    p50_ms: Figure = Field(description="of the newest day of the timeframe")
    p95_ms: Figure
    sample_count: int
    bytes: int | None
    error_rate: Figure = Field(description="failed of all connections, 0..1")
    best_agent_id: Text = Field(description="lowest median there, with 20 samples or more")
