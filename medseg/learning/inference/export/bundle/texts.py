"""What a bundle says to people."""

from __future__ import annotations

from medseg.learning.inference.export.bundle.configuration import VERSION
from medseg.learning.inference.model_card import RESEARCH_ONLY
from medseg.learning.inference.predictor import Predictor


def readme(predictor: Predictor, name: str) -> str:
    """`docs/README.md`: how the bundle is run, what it gives, and what it does not do."""
    rule, channels = predictor.preparation.rule, ", ".join(predictor.channels)
    first = predictor.channels[0]
    files = " and ".join(f"`CASE_{channel}.nii.gz`" for channel in predictor.channels)
    reference = predictor.preparation.reference
    grid = (
        "on the grid of the first file, where all of them lie, or the case is refused,"
        if reference is None
        else f"on the grid of `{reference}`, onto which the other channels are resampled linearly,"
    )
    more = ", ..." if len(predictor.channels) > 1 else ""
    also = "; `CASE.nii.gz` will do" if len(predictor.channels) == 1 else ""
    values = "\n".join(f"| {value} | {label} |" for value, label in enumerate(predictor.task.classes))
    return f"""# {name}

{RESEARCH_ONLY}

A two-dimensional network that segments {rule.axis} slices of {rule.size[0]} x {rule.size[1]} pixels, trained with
medseg. Channels: {channels}. Version {VERSION}. Its parts come from MONAI and medseg: both have to be installed, and
fire for the command.

```sh
pip install medseg fire
python -m monai.bundle run --config_file configs/inference.json --bundle_root . --dataset_dir DATA --output_dir OUT
```

`DATA` holds {files} for each case{also}, in any folders. The same cases can be listed:
`--datalist "[{{'case': 'p1', 'image': ['p1_{first}.nii.gz'{more}]}}]"`. A label map
`CASE_seg.nii.gz` {grid} is written for each.

| value | class |
| --- | --- |
{values}

These are the indices of the classes; the masks of the training data may have other values.

## As in `medseg predict`

Preparation, the mean over mirror images, threshold, post-processing and the way back to the grid of the file. The
voxels are equal: that was tried on a generated case when this was written.

## Not in the bundle

- DICOM, and other files than NIfTI: convert them first, or use `medseg predict`.
- Volumes in millilitres, warnings about images unlike those of training, probability maps, pictures.
- Other label values than the indices, and DICOM segmentations.
- Training: there is no `configs/train.json`.
"""


def licence(predictor: Predictor) -> str:
    """`LICENSE`: that the weights have none but what their owners say."""
    data = predictor.manifest
    words = f"The weights were learned from {data.name}"
    words += (
        f", whose licence is: {data.licence.rstrip('.')}" if data.licence else ", whose licence is not known"
    )
    return (
        f"{words}.\nThose who trained this model decide what may be done with it. Put their licence here before you "
        f"pass it on.\n\n{RESEARCH_ONLY}"
    )
