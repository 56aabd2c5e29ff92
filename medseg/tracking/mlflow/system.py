"""How busy the machine was: a thread that samples while a run goes on."""

# ruff: noqa: PLC0415 - mlflow takes 2 s to import, and must find its telemetry switched off
from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from medseg.tracking.mlflow.quiet import quiet_mlflow

Publish = Callable[[Mapping[str, float]], None]


class SystemWatch:
    """Samples processor, memory, disk, network and NVIDIA devices, and hands the numbers on.

    The collectors are MLflow's, so that its page shows them under `system/`. Its own
    `SystemMetricsMonitor` is not used: it stops for good at the first call that a server does not answer,
    and makes the end of a run wait for that server.

    Args:
        publish: Called from the thread with `system/<name>` and value.
        interval: Seconds between samples.
    """

    def __init__(self, publish: Publish, interval: float = 10.0) -> None:
        self._publish = publish
        self._interval = interval
        self._stop = threading.Event()
        self._collectors = _collectors()
        self._thread = threading.Thread(target=self._watch, name="medseg-system", daemon=True)

    def start(self) -> None:
        """Begin to sample; the first sample is taken at once."""
        self._thread.start()

    def stop(self) -> None:
        """Stop, waiting at most five seconds for a sample that is under way."""
        self._stop.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout=5.0)

    def sample(self) -> dict[str, float]:
        """Return one sample by name; a collector that fails is left out from then on."""
        numbers: dict[str, float] = {}
        for collector in tuple(self._collectors):
            try:
                collector.collect_metrics()
                numbers |= {f"system/{name}": value for name, value in collector.aggregate_metrics().items()}
                collector.clear_metrics()
            except Exception:  # noqa: BLE001 - numbers about the machine never harm a training
                self._collectors.remove(collector)
        return numbers

    def _watch(self) -> None:
        while not self._stop.is_set():
            self._publish(self.sample())
            self._stop.wait(self._interval)


def _collectors() -> list[Any]:
    quiet_mlflow()
    from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
    from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
    from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor
    from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor

    collectors = []
    for make in (CPUMonitor, DiskMonitor, NetworkMonitor, GPUMonitor):
        try:
            collectors.append(make())
        except Exception:  # noqa: BLE001, S112 - no NVIDIA device, or no /proc in a sandbox
            continue
    return collectors
