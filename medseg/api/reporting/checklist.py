"""The model card: what a run says of itself below the headings of CLAIM 2024, and what is left to its authors.

After Tejani et al., "Checklist for Artificial Intelligence in Medical Imaging (CLAIM): 2024 Update", Radiology:
Artificial Intelligence 6(4):e240300, 2024. Its headings in short; what counts is the checklist itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from medseg.api.reporting.answers import answers
from medseg.api.reporting.blocks import Block, Checklist, Item, Words
from medseg.api.reporting.kept import Kept
from medseg.learning.inference.model_card import RESEARCH_ONLY

AUTHORS = "To be filled in by the authors"

HEADINGS: Sequence[tuple[str, Sequence[str]]] = (
    ("Title and abstract", ("Kind of study and of technology", "Structured summary")),
    ("Introduction", ("Background, intended use and role", "Aims, objectives and hypotheses")),
    ("Methods: study design", ("Prospective or retrospective", "Goal of the study")),
    (
        "Methods: data",
        (
            "Sources of the data",
            "Inclusion and exclusion criteria",
            "Preprocessing",
            "Selection of parts of the data",
            "De-identification",
            "Missing data",
            "Image acquisition protocol",
        ),
    ),
    (
        "Methods: reference standard",
        (
            "How the reference standard was obtained",
            "Why it was chosen",
            "Who annotated, and with which training",
            "Annotation of the test part",
            "Variability between and within annotators",
        ),
    ),
    ("Methods: data partitions", ("How the data were assigned", "Level at which partitions are disjoint")),
    ("Methods: testing data", ("Intended sample size",)),
    (
        "Methods: model",
        ("The model: inputs, outputs, layers", "Software libraries and packages", "Initial parameters"),
    ),
    (
        "Methods: training",
        (
            "Training: augmentation, settings, number of models",
            "How the final model was selected",
            "Ensembles",
        ),
    ),
    (
        "Methods: evaluation",
        (
            "Measures of performance",
            "Statistics: significance and uncertainty",
            "Robustness and sensitivity",
            "Explainability",
            "Evaluation on internal data",
            "Testing on external data",
            "Registration of a clinical trial",
        ),
    ),
    (
        "Results: data",
        ("Patients included and excluded", "Demographic and clinical characteristics in each partition"),
    ),
    (
        "Results: model performance",
        (
            "Performance with its uncertainty",
            "Diagnostic performance and its precision",
            "Analysis of failures",
        ),
    ),
    ("Discussion", ("Limitations, bias, generalisability", "Implications for practice")),
    (
        "Other information",
        (
            "Study protocol and further technical details",
            "Availability of software, model and data",
            "Funding",
        ),
    ),
)
"""Parts of the checklist, and their items in short; the items are numbered through, from 1."""


def card_blocks(kept: Kept) -> Sequence[Block]:
    """All items: what the run says, and where authors must say more."""
    said = answers(kept)
    beside = Words(
        f"{RESEARCH_ONLY} This card follows the headings of CLAIM 2024 (Tejani et al., Radiology: Artificial "
        f"Intelligence 6(4):e240300). What the run itself says is filled in; “{AUTHORS.lower()}” stands where "
        "software cannot know."
    )
    return [beside, Checklist(list(_parts(said)))]


def _parts(said: Mapping[int, tuple[str, bool]]) -> Sequence[tuple[str, Sequence[Item]]]:
    found, number = [], 0
    for part, headings in HEADINGS:
        items = []
        for heading in headings:
            number += 1
            text, whole = said.get(number, ("", False))
            items.append(Item(number, heading, text, "" if whole and text else AUTHORS))
        found.append((part, items))
    return found
