"""What CDNs call the outcome of a cache, and which names are theirs.

hit: the answer came from a cache, also a stale or a revalidated one, or from a shield's.
miss: it was fetched from the origin; EXPIRED too. bypass: it could not be cached.
unknown: the cache was not asked (an error, a redirect, a synthetic answer), or a new word.
"""

HIT, MISS, BYPASS, UNKNOWN = "hit", "miss", "bypass", "unknown"

CLOUDFLARE = {  # CacheCacheStatus
    "hit": HIT, "stream_hit": HIT, "stale": HIT, "updating": HIT, "revalidated": HIT,
    "miss": MISS, "expired": MISS, "deferred": MISS, "bypass": BYPASS, "dynamic": BYPASS,
}  # fmt: skip
CLOUDFRONT = {  # x-edge-result-type and x-edge-detailed-result-type
    "hit": HIT, "refreshhit": HIT, "originshieldhit": HIT, "miss": MISS,
}  # fmt: skip
FASTLY = {  # fastly_info.state up to its first suffix, and the words of X-Cache
    "hit": HIT, "miss": MISS, "pass": BYPASS, "hitpass": BYPASS, "bypass": BYPASS,
}  # fmt: skip
NOT_CACHED = "synth"  # of Fastly's suffixes: an answer made at the edge

SUFFIXES = {  # of host names
    "cloudfront.net": "cloudfront", "fastly.net": "fastly", "fastlylb.net": "fastly",
    "cloudflare.net": "cloudflare", "akamaiedge.net": "akamai", "akamaized.net": "akamai",
    "akamai.net": "akamai", "edgekey.net": "akamai", "edgesuite.net": "akamai",
    "azureedge.net": "azure", "azurefd.net": "azure", "b-cdn.net": "bunny",
    "cdn77.org": "cdn77", "gcdn.co": "gcore", "llnwd.net": "edgio", "edgecastcdn.net": "edgio",
    "jsdelivr.net": "jsdelivr",
}  # fmt: skip


def cache_status(words: dict[str, str], word: str | None) -> str:
    """One of the four for a provider's word."""
    return words.get((word or "").lower(), UNKNOWN)


def fastly_status(state: str | None) -> str:
    """`HIT-CLUSTER` is a hit, `HIT-SYNTH` is none."""
    parts = (state or "").lower().split("-")
    return UNKNOWN if NOT_CACHED in parts else FASTLY.get(parts[0], UNKNOWN)


def provider_of(host: str) -> str | None:
    """Whose name it is; None when it is nobody's that we know."""
    labels = host.lower().rstrip(".").split(".")
    for at in range(len(labels)):
        found = SUFFIXES.get(".".join(labels[at:]))
        if found is not None:
            return found
    return None
