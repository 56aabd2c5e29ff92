"""Reading single-frame DICOM images as pictures: stored values, Modality LUT, VOI window, brightness.

| stored                    | `grey`, window `file` or fixed       | `grey`, window `none`                 |
|---------------------------|--------------------------------------|---------------------------------------|
| MONOCHROME2               | float32, 0 black to 255 white        | float32, modality values (such as HU) |
| MONOCHROME1               | the same, turned once                | modality values, mirrored (see below) |
| colour, 8 bits            | luma, uint8                          | luma, uint8                           |
| colour, 16 or 32 bits     | luma, float32, 0 to 255              | luma, uint16 or float32, as stored    |

`rgb` repeats greys three times, and keeps colours. No axis is swapped or turned: row 0 is the first stored.

- Stored values have the bits that Bits Stored says, signed as Pixel Representation says.
- Modality LUT: the LUT of the file, or else its Rescale Slope and Intercept. Source: DICOM PS3.3 C.11.1.
- An enhanced image holds rescaling, and window or VOI LUT, in its functional groups, for its frame or shared:
  these count.
- Window `file`: the first VOI LUT of the file, or else its first window by its VOI LUT Function (LINEAR,
  LINEAR_EXACT, SIGMOID), black to white mapped to 0 to 255. Where it has neither (or a window of no width),
  its smallest to largest modality value is, and a note says so. Source: PS3.3 C.11.2.
- Fixed window: centre and width in modality units, LINEAR; a window of the file then does not count.
- MONOCHROME1 means that low values are shown bright. What is shown (0 to 255) is turned, after the window:
  255 - v. With `none` the modality values are mirrored within the range that the stored bits can hold
  (4095 - v for 12 bits, unsigned, without a rescaling), the same for every picture of the same kind, so that
  bright means the same as in MONOCHROME2; a note says so.
- Padding (Pixel Padding Value, with its Range Limit) does not count for smallest and largest, and is shown
  black; with `none` it stays as it is. Source: PS3.3 C.7.5.1.1.2.
- Colours know no window: RGB, palettes, YBR_FULL, YBR_FULL_422, YBR_ICT and YBR_RCT become RGB as stored;
  more than 8 bits are mapped to 0 to 255 as the window of greys would, unless it is `none`.
- One decoder for each transfer syntax, the same on every machine: see `medseg.images.dicom.pixels`.
- Several frames are refused, unless they are asked for as slices of one case (`read_dicom_frames`).
- No pixels (SR, RTSTRUCT, presentation states, ...), segmentations and what cannot be decoded
  are refused, each for one reason. A file without preamble and meta information is read if it is
  uncompressed; one whose meta information names no transfer syntax is refused.

Importing pydicom takes half a second, so that only the functions that need it do.
"""

from __future__ import annotations

from pathlib import Path

from medseg.images.dicom.window import Window
from medseg.images.pictures.read import ChannelRule, Picture


def read_dicom(path: Path, channels: ChannelRule, window: Window = "file") -> Picture:
    """Read one single-frame image as 1 (`grey`) or 3 (`rgb`) channels, by the rules above.

    Raises:
        RefusedError: The file is damaged, ends early, is too large, holds no image, several frames, or pixels
            that are not decoded; or the window is narrower than 1. The message holds no path and no value that
            might name a patient.
        DataError: It is missing or may not be read.
    """
    from medseg.images.dicom.read import read  # noqa: PLC0415 - imports pydicom

    return read(path, channels, window)


def read_dicom_frames(path: Path, channels: ChannelRule, window: Window = "file") -> list[Picture]:
    """Read all frames of one image as pictures, each by itself by the rules above, in their order.

    Raises:
        RefusedError: As `read_dicom`, but of several frames.
        DataError: As `read_dicom`.
    """
    from medseg.images.dicom.read import read_frames  # noqa: PLC0415 - imports pydicom

    return read_frames(path, channels, window)


def dicom_frames_size(path: Path) -> tuple[int, int, int]:
    """Number of frames, height and width, from the header alone.

    Raises:
        DataError: As `read_dicom_frames`, as far as the header shows it.
    """
    from medseg.images.dicom.read import frames_size  # noqa: PLC0415 - imports pydicom

    return frames_size(path)


def dicom_size(path: Path) -> tuple[int, int]:
    """Height and width, from the header alone.

    Raises:
        DataError: As `read_dicom`, as far as the header shows it.
    """
    from medseg.images.dicom.header import size  # noqa: PLC0415 - imports pydicom

    return size(path)


def dicom_tag(path: Path, keyword: str) -> str:
    """The value of an attribute, from the header alone; several values are joined by a backslash.

    Args:
        path: The file.
        keyword: Of the attribute, such as `PatientID`.

    Returns:
        Its text, without spaces around it; empty where the file has none, or cannot be read (which reading
        its pixels will tell).

    Raises:
        RefusedError: DICOM knows no attribute of that name, or one without a text of its own.
    """
    from medseg.images.dicom.header import tag  # noqa: PLC0415 - imports pydicom

    return tag(path, keyword)


def decoders() -> dict[str, str]:
    """The packages that decode pixels, with the versions that are installed."""
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - takes 20 ms

    found = {}
    for name in ("pydicom", "imagecodecs"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "none"
    return found
