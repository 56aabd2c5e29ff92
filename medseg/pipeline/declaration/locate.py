"""Finding pipelines and manifests by name, for the floors above; `medseg.named` does it, and says in which order."""

from __future__ import annotations

from medseg.named import Found, all_manifests, all_pipelines, find_manifest, find_pipeline

__all__ = ["Found", "all_manifests", "all_pipelines", "find_manifest", "find_pipeline"]
