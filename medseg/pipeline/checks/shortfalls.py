"""What slices lack of the truth of their cases, in words for those who may change it."""

from __future__ import annotations

from collections.abc import Mapping

from medseg.slices.store.store import SliceStore

_NAMED = 4  # of cases, those that lose most


def cut_away_note(shares: Mapping[str, float], size: tuple[int, int]) -> str:
    """That slices are too small for what label maps mark; empty if they are not.

    Args:
        shares: Of what a label map marks, as `SliceStore.cut_away` gives it.
        size: (H, W) of a slice.
    """
    if not shares:
        return ""
    most = sorted(shares, key=lambda case: (-shares[case], case))
    named = ", ".join(f"{case} {_percent(shares[case])}" for case in most[:_NAMED])
    more = f" and {len(most) - _NAMED} more" if len(most) > _NAMED else ""
    return (
        f"Slices of {size[0]} x {size[1]} (slices.size) cut away some of what the label maps mark: of {named}{more}. "
        "It is neither learned nor found. Set a larger slices.size, or slices.fit=resize or tile."
    )


def cropped_note(size: tuple[int, int], larger: int, cases: int, *, masks: bool) -> str:
    """That slices are cut to a size, before it is known of each case whether that takes anything of its label map.

    Args:
        size: (H, W) of a slice.
        larger: How many cases have larger slices, as they are stored; 0 where only transforms make them larger.
        cases: How many there are.
        masks: Whether there are label maps, of which the largest case's was looked at.
    """
    those = f"those of {larger} of {cases} cases" if larger else "some"
    looked = " Of label maps, that of the largest case alone was looked at; a run names all that are cut."
    return (
        f"Slices are cut to {size[0]} x {size[1]} (slices.size) around their centre, and {those} are larger: what "
        "lies outside is never seen. Set a larger slices.size, or slices.fit=resize or tile."
        f"{looked if masks and cases > 1 else ''}"
    )


def unlearned_note(store: SliceStore) -> str:
    """That the slices for training show no voxel of a class; empty if they show all, or there are no label maps."""
    samples = store.role("train")
    if not any(store.entries[sample.entry].counts is not None for sample in samples):
        return ""
    counts = store.voxel_counts("train")
    return absent_note([name for name, count in zip(store.classes, counts, strict=True) if not count])


def absent_note(names: list[str]) -> str:
    """That classes cannot be learned, since nothing for training shows them."""
    if not names:
        return ""
    which = f"class {names[0]}" if len(names) == 1 else f"classes {', '.join(names)}"
    it = "it" if len(names) == 1 else "they"
    return (
        f"Nothing for training shows a voxel of the {which}: {it} cannot be learned. Add cases that do, share out "
        "otherwise (split.seed, split.stratify), or keep other slices (slices.keep)."
    )


def _percent(share: float) -> str:
    return "less than 1 %" if share < 0.01 else f"{100 * share:.0f} %"
