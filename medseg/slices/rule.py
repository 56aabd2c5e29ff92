"""How slices are cut from a case: axis, size, which ones, and the transforms before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from medseg.component import Spec

if TYPE_CHECKING:
    from medseg.geometry.axes import AxisName


def as_tuple(value: object) -> object:
    """A list as the tuple that it stands for: YAML has no tuples, and strict models take no list for one."""
    return tuple(value) if isinstance(value, list) else value


Pixels = Annotated[int, Field(gt=0, le=8192)]
Millimetres = Annotated[float, Field(ge=0.05, le=1000)]  # MONAI takes grids that differ by 0.001 mm for one


class Keep(BaseModel):
    """Which slices of a case are kept; `keep: all` in YAML stands for `keep: {contains: all}`.

    Attributes:
        contains: `all` keeps every slice; `image` those with a voxel that is not background; `foreground`
            those with a class that the manifest stores under a value of its own (any tumour), neither derived
            nor the first of the list; the name of a class or region those that show it.
        draw: How many of them per case, drawn by the seed; None for all. Fewer where a case has fewer.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    contains: Annotated[str, Field(min_length=1)] = "image"
    draw: Annotated[int, Field(gt=0)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_word(cls, given: Any) -> Any:
        if isinstance(given, str):
            return {"contains": given}
        if isinstance(given, Mapping | cls):
            return given
        words = "all, image, foreground, the name of a class or a region, or a mapping such as"
        raise ValueError(f"is {given!r}, expected {words} {{contains: image, draw: 5}}")


class Align(BaseModel):
    """That channels on other grids are resampled; `align: reference` in YAML stands for `align: {reference: null}`.

    Attributes:
        reference: The channel onto whose grid; None for the first of a definition.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    reference: Annotated[str, Field(min_length=1)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_word(cls, given: Any) -> Any:
        if isinstance(given, str) and given != "reference":
            raise ValueError(
                f"is {given!r}, expected `reference`, for the grid of the first channel, or `{{reference: CHANNEL}}`"
            )
        return {} if given == "reference" else given


class SliceRule(BaseModel):
    """How the slices of a data set are cut.

    Attributes:
        align: What becomes of channels that lie on another grid than the others: None refuses the case; else they are
            resampled linearly, by where files say that voxels lie, onto the grid of one.
        axis: The patient's plane; an axial slice has anterior in row 0, the patient's right in column 0.
        size: Height and width (H, W) in pixels.
        fit: How slices get that size: `pad` and crop, without resampling; `resize`, which stretches them, truth
            by the nearest pixel; `tile`, which cuts overlapping tiles of it at native resolution.
        overlap: Share of a tile that its neighbour repeats, for `tile`.
        keep: Which slices.
        transforms: Specs of deterministic MONAI transforms, applied in order to the volume (C, I, J, K).
        spacing: Distance of rows and of columns, mm, that slices are resampled to after the transforms: images
            linearly, the truth by the nearest pixel. Slices themselves are neither left out nor made up. None where
            pixels stay as they are.
        neighbours: How many slices on either side of each slice the network sees as further channels (2.5D); the
            label is that of the slice itself. At the ends of a volume the first and the last slice repeat.
        pad: How the margin is filled: `constant` with each channel's background, `edge` and `reflect` from
            the image, `minimum` with the channel's smallest value.
        store: Precision of the stored images.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    align: Align | None = None
    axis: Literal["axial", "coronal", "sagittal"] = "axial"
    size: Annotated[tuple[Pixels, Pixels], BeforeValidator(as_tuple)]
    fit: Literal["pad", "resize", "tile"] = "pad"
    overlap: Annotated[float, Field(ge=0, le=0.9)] = 0.25
    keep: Keep = Keep()
    transforms: list[Spec] = []
    spacing: Annotated[tuple[Millimetres, Millimetres], BeforeValidator(as_tuple)] | None = None
    neighbours: Annotated[int, Field(ge=0, le=7)] = 0
    pad: Literal["constant", "edge", "minimum", "reflect"] = "constant"
    store: Literal["float16", "float32"] = "float16"

    def inputs(self, channels: Sequence[str]) -> tuple[str, ...]:
        """Names of what a network sees of a slice: its channels, then those of its neighbours, as `t1-1` and `t1+1`.

        Args:
            channels: Names of the channels of a slice.
        """
        return tuple(
            name if offset == 0 else f"{name}{offset:+d}"
            for offset in neighbour_offsets(self.neighbours)
            for name in channels
        )

    def reference(self, channels: Sequence[str]) -> str | None:
        """The channel onto whose grid the others are resampled; None where other grids are refused.

        Args:
            channels: Of the definition.
        """
        return None if self.align is None else self.align.reference or channels[0]

    @property
    def chain(self) -> list[Spec]:
        """All transforms between a volume and its slices: those declared, and the resampling."""
        return [*self.transforms, *([] if self.spacing is None else [_resampling(self.axis, self.spacing)])]


def neighbour_offsets(neighbours: int) -> tuple[int, ...]:
    """Which slices are seen from a slice, in the order of the channels: 0, -1, 1, -2, 2, ..."""
    return (0, *(sign * distance for distance in range(1, neighbours + 1) for sign in (-1, 1)))


def _resampling(axis: AxisName, spacing: tuple[float, float]) -> dict[str, Any]:
    """To a spacing in the plane of slices; across it whatever the volume has."""
    from medseg.geometry.axes import AXES  # noqa: PLC0415 - NumPy, which definitions are read without

    plane, sizes = AXES[axis], [1.0, 1.0, 1.0]
    least, most = [1e-9, 1e-9, 1e-9], [1e9, 1e9, 1e9]  # within them a size is left as it is
    for along, size in zip((plane.rows, plane.columns), spacing, strict=True):
        sizes[along] = least[along] = most[along] = size
    return {
        "_target_": "monai.transforms.Spacingd",
        "keys": ["image", "label"],
        "pixdim": sizes,
        "min_pixdim": least,
        "max_pixdim": most,
        "mode": ["bilinear", "nearest"],
    }
