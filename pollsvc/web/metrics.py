"""Prometheus metrics that count all processes of an installation's host.

``pollsvc serve`` names a folder in ``PROMETHEUS_MULTIPROC_DIR`` before its workers start; each worker writes its own
files there and whoever is asked adds them up. Without the folder (tests, another server) a process counts for itself.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import cache

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, Metric, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

REQUESTS = Counter("pollsvc_requests_total", "Requests by route and status.", ["method", "route", "status"])
SECONDS = Histogram(
    "pollsvc_request_seconds",
    "Time to answer by route.",
    ["route"],
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15),
)
VOTES = Counter("pollsvc_votes_total", "Votes by outcome.", ["outcome"])
BATCH = Histogram(
    "pollsvc_vote_batch_ballots",
    "Ballots that were committed together.",
    buckets=(1, 2, 4, 8, 16, 32, 64, 100),
)
SUBMISSIONS = Counter("pollsvc_submissions_total", "Consents and corrections taken in.", ["kind", "suspect"])
CHECK_VERDICTS = Counter(
    "pollsvc_check_verdicts_total",
    "Attempts at a verdict of a check over HTTP, by what came of them.",
    ["name", "outcome"],
)
COMMENTS = Counter("pollsvc_comments_total", "Comments taken in, by where they landed.", ["status"])

# What a table holds is read from it when somebody asks; the newest answer is the one.
MESSAGES = Gauge(
    "pollsvc_outbox_messages",
    "Messages of the outbox that wait, or were given up.",
    ["channel", "state"],
    multiprocess_mode="mostrecent",
)
OVERDUE = Gauge(
    "pollsvc_outbox_overdue_seconds",
    "How long the message has waited that should have left first.",
    ["channel"],
    multiprocess_mode="mostrecent",
)
DELIVERIES = Counter("pollsvc_deliveries_total", "Attempts at a delivery by outcome.", ["channel", "outcome"])


def count_request(method: str, route: str, status: int, seconds: float) -> None:
    """Count one answered request."""
    _requests(method, route, status).inc()
    _seconds(route).observe(seconds)


# Finding a child by its labels costs more than counting; there are as many as routes and statuses.
@cache
def _requests(method: str, route: str, status: int) -> Counter:
    return REQUESTS.labels(method, route, str(status))


@cache
def _seconds(route: str) -> Histogram:
    return SECONDS.labels(route)


class _Asking(Collector):
    """Collects nothing itself, and has gauges set before those are collected that come after it."""

    def __init__(self, ask: Callable[[], None]) -> None:
        self._ask = ask

    def collect(self) -> Iterable[Metric]:
        """Ask."""
        self._ask()
        return ()


def registry(ask: Callable[[], None]) -> CollectorRegistry:
    """Everything counted, over all processes where there are several.

    :param ask: sets the gauges that show what tables hold, each time that the registry is read.
    """
    merged = CollectorRegistry()
    merged.register(_Asking(ask))
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        MultiProcessCollector(merged)  # type: ignore[no-untyped-call]
    else:
        merged.register(REGISTRY)
    return merged


def exposition(ask: Callable[[], None]) -> bytes:
    """The text that Prometheus reads."""
    return generate_latest(registry(ask))
