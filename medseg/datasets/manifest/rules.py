"""The parts of a manifest that say what stored values, tables, pictures and classes mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt

from medseg.images.dicom.writing.segments import TISSUE, Code

if TYPE_CHECKING:
    from medseg.images.dicom.window import Window


class Strict(BaseModel):
    """Holds what a manifest writes; other keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DeriveRule(Strict):
    """Two classes that the data set does not store, distinguished by the images.

    Attributes:
        value: Written `from`: the stored value that stands for both.
        outside: Class of voxels where every channel has its background value.
        inside: Class of all other voxels with that stored value.
    """

    value: StrictInt = Field(alias="from")
    outside: str
    inside: str


_Level = Annotated[StrictInt, Field(ge=0, le=255)]


class SegmentRule(Strict):
    """What a class is, as a DICOM segmentation says it beside its name. Source: DICOM PS3.3, C.8.20.4.

    Attributes:
        code: What it is: segmented property type.
        category: What kind of thing that is: segmented property category, of PS3.16, CID 7150.
        colour: Red, green and blue, 0 to 255, in which viewers show it; None takes the next one of a fixed row.
    """

    code: Code = TISSUE
    category: Code = TISSUE
    colour: tuple[_Level, _Level, _Level] | None = None


class TableRule(Strict):
    """A CSV table beside the data that says more about each case.

    Attributes:
        path: Relative to the data root; looked for in the root's parent as well, so that the folder of the
            images may be given. Where it is not there, its columns are empty.
        key: The column that names the file.
        matches: What stands in it, with `{case}` for the case's id.
        columns: Those that are expected.
    """

    path: str
    key: str
    matches: str
    columns: tuple[str, ...]


class VolumeRule(Strict):
    """How the files of a data set of volumes become channels, where a file is not one channel.

    Attributes:
        channels: `stacked`: each file holds all channels along its fourth axis, or as several values in each voxel
            where `format` is `itk`, in the order of the manifest's
            `channels`, as in the Medical Segmentation Decathlon. `npz`: each file is a NumPy archive that holds them
            as `data` (X, Y, Z, C), and the label map as `seg`: see `medseg.images.npz`.
    """

    channels: Literal["stacked", "npz"]


class HounsfieldWindow(Strict):
    """Which values of a DICOM picture are shown, from black to white.

    Attributes:
        centre: Of the values after the Modality LUT, of a CT in HU.
        width: At least 1, in the same unit.
    """

    centre: float
    width: Annotated[float, Field(ge=1)]


class PictureRule(Strict):
    """How the files of a data set of pictures (PNG, JPEG, TIFF, BMP, npy, DICOM) become channels.

    Attributes:
        channels: `grey`: each file holds one channel; colours become their brightness. `rgb`: each file holds
            three channels, its red, green and blue planes, in the order of the manifest's `channels`.
        mask_above: A mask's foreground is what is brighter than this, 0 to 65535; it then holds 0 and 1. None
            takes its values as they are.
        window: Which values of DICOM pictures are shown, from black to white: those that the `file` says, or a
            window of one's own. `none`: values are taken as they are.
        frames: `slices`: a file may hold several pictures of one size (frames of DICOM, pages of TIFF), which are the
            slices of one case; so may its mask. None refuses such files.
    """

    channels: Literal["grey", "rgb"]
    mask_above: Annotated[int, Field(ge=0, le=65535)] | None = None
    window: Literal["file", "none"] | HounsfieldWindow = "file"
    frames: Literal["slices"] | None = None

    @property
    def shown(self) -> Window:
        """The window as reading takes it."""
        return self.window if isinstance(self.window, str) else (self.window.centre, self.window.width)
