"""Whether messages of a command may name files: where the ids of its data are pseudonyms."""

from __future__ import annotations

from collections.abc import Sequence


def paths_may_be_shown(name: str, sets: Sequence[str] | None = None) -> bool:
    """Whether the pipeline's data have pseudonyms for ids, so that paths may be shown.

    Never raises: it is asked before a command has begun, which then meets the same and tells it.
    """
    from medseg.api.opening import open_pipeline  # noqa: PLC0415

    try:
        return open_pipeline(name, assignments=sets or ()).manifest.ids == "pseudonyms"
    except Exception:  # noqa: BLE001  # whatever it is, the command itself will say it, guarded
        return False


def paths_of_run_may_be_shown(run: str | None, *, take_over: bool) -> bool:
    """Whether what goes on is the user's own and its data have pseudonyms for ids; never raises, as above."""
    from medseg.api.finding import find_run_folder, unfinished  # noqa: PLC0415
    from medseg.api.folds_found import find_folds, interrupted_folds  # noqa: PLC0415
    from medseg.datasets.manifest.manifest import Manifest  # noqa: PLC0415

    try:
        asked = interrupted_folds(take_over=take_over) if run is None else find_folds(run)
        if asked is not None:
            return asked.mine and asked.declared["manifest"].get("ids") == "pseudonyms"
        folder = unfinished(take_over=take_over) if run is None else find_run_folder(run)
        return folder.read().mine and Manifest.from_yaml(folder.path / "manifest.yaml").ids == "pseudonyms"
    except Exception:  # noqa: BLE001
        return False
