"""The metrics for Prometheus."""

from __future__ import annotations

import os
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.multiprocess import MultiProcessCollector

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
COUNTED = {  # counters of a model
    "steps": "Inputs that sessions and texts have read.",
    "evictions": "Sessions that left memory for the store.",
    "loads": "Sessions that came into memory from the store.",
    "snapshots": "States that were put into the store.",
}
NOW = {  # gauges of a model
    "sessions": "Sessions in memory.",
    "stored": "Sessions in all, in memory and in the store.",
    "queue": "Requests that wait or are being done.",
}
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
SHARED = "PROMETHEUS_MULTIPROC_DIR"  # names the folder in which the workers of a server share their figures


class Metrics:
    """Counters, gauges and histograms of a server, for all its workers together."""

    def __init__(self) -> None:
        self._registry = own = CollectorRegistry()
        self._seconds = Histogram(
            "ostinato_request_seconds",
            "From the headers to the whole answer.",
            ["route"],
            buckets=SECONDS,
            registry=own,
        )
        self._requests = Counter("ostinato_requests", "Answers.", ["route", "status"], registry=own)
        self._rows = Histogram(
            "ostinato_batch_rows", "Sessions that took a step together.", ["model"], buckets=ROWS, registry=own
        )
        self._batch_seconds = Histogram(
            "ostinato_batch_seconds", "A step of a batch.", ["model"], buckets=SECONDS, registry=own
        )
        self._open = Gauge("ostinato_connections", "Open connections.", registry=own, multiprocess_mode="livesum")
        self._stats: dict[str, Gauge] = {}
        self._counts = {
            name: Counter(f"ostinato_{name}", said, ["model"], registry=own) for name, said in COUNTED.items()
        }
        self._before: dict[tuple[str, str], int] = {}
        self._by_route: dict[str, Any] = {}
        self._by_status: dict[tuple[str, int], Any] = {}
        self._by_model: dict[str, tuple[Any, Any]] = {}

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count an answered request."""
        try:
            self._by_route[route](seconds)
            self._by_status[route, status]()
        except KeyError:  # labels are looked up once
            self._by_route.setdefault(route, self._seconds.labels(route).observe)
            self._by_status.setdefault((route, status), self._requests.labels(route, str(status)).inc)
            self._by_route[route](seconds)
            self._by_status[route, status]()

    def batch(self, model: str, rows: int, seconds: float) -> None:
        """Count a batch that took a step."""
        found = self._by_model.get(model)
        if found is None:
            found = self._rows.labels(model).observe, self._batch_seconds.labels(model).observe
            self._by_model[model] = found
        found[0](rows)
        found[1](seconds)

    def page(self, stats: dict[str, Any], connections: int) -> bytes:
        """Return all metrics in Prometheus' text format; for the arguments see `note`."""
        self.note(stats, connections)
        if not self.is_shared:
            return generate_latest(self._registry)
        together = CollectorRegistry()
        MultiProcessCollector(together)
        return generate_latest(together)

    @property
    def is_shared(self) -> bool:
        """Whether another worker may report the figures of this process, which are then recorded every second."""
        return SHARED in os.environ

    def note(self, stats: dict[str, Any], connections: int) -> None:
        """Record the current figures.

        Args:
            stats: the figures of a service, by model and name.
            connections: how many connections are open.
        """
        self._open.set(connections)
        for model, numbers in stats.items():
            for name, value in numbers.items():
                if name in self._counts:
                    more = value - self._before.get((model, name), 0)
                    self._before[model, name] = value
                    self._counts[name].labels(model).inc(max(more, 0))
                    continue
                if name not in self._stats:
                    self._stats[name] = Gauge(
                        f"ostinato_{name}",
                        NOW.get(name, f"Of a model: {name.replace('_', ' ')}."),
                        ["model"],
                        registry=self._registry,
                        multiprocess_mode="livesum",
                    )
                self._stats[name].labels(model).set(value)


CONTENT_TYPE = CONTENT_TYPE_LATEST.encode()
