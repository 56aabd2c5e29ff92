from __future__ import annotations

import pytest

from medseg.learning.inference.model_card import RESEARCH_ONLY, model_card

DESCRIBED = {
    "about": {"pipeline": "brats2d", "medseg": "0.1", "data.kind": "given", "data.note": "Not real."},
    "network": {"_target_": "monai.networks.nets.UNet"},
    "task": {"classes": ["outside", "tumour"]},
    "channels": ["flair", "t1"],
    "slices": {"size": [24, 32], "axis": "axial"},
    "manifest": {"name": "brats2019", "source": "BraTS", "licence": "research", "citation": "Menze 2015"},
}


def test_a_card_says_what_goes_in_and_out_where_from_and_under_which_terms():
    card = model_card(DESCRIBED)
    for part in (
        "`flair`, `t1`",
        "axial",
        "24 x 32",
        "`outside`, `tumour`",
        "UNet",
        "BraTS",
        "research",
        "Menze 2015",
    ):
        assert part in card


def test_a_card_says_that_the_model_is_no_medical_device():
    assert RESEARCH_ONLY in model_card(DESCRIBED)
    assert "Not a medical device" in RESEARCH_ONLY


def test_a_note_on_the_data_is_loud_and_not_repeated():
    lines = model_card(DESCRIBED).splitlines()
    assert [line for line in lines if "Not real." in line] == ["**Not real.**"]
    assert "- data.kind: given" in lines
    quiet = {**DESCRIBED, "about": {}}
    assert model_card(quiet).splitlines()[0] == "# medseg model"


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("rare, odd", "`rare, odd`"),
        ("<b>", "`<b>`"),
        ("**x** [a](b)", "`**x** [a](b)`"),
        ("a`b", "``a`b``"),
        ("`a``b`", "``` `a``b` ```"),
    ],
)
def test_a_class_with_a_comma_or_markup_is_one_class(name, written):
    card = model_card({**DESCRIBED, "task": {"classes": ["oedema", name, "other"]}})
    assert f"- Output: the classes `oedema`, {written}, `other`." in card.splitlines()


def test_a_card_says_which_packages_the_model_needs():
    assert "-o OUT`." in model_card(DESCRIBED)
    assert "MEDSEG_ALLOW" not in model_card(DESCRIBED)
    card = model_card({**DESCRIBED, "network": {"_target_": "mypackage.nets.Own"}})
    assert "medseg predict folder INPUT -o OUT --allow mypackage.nets`." in card
    assert "In a script, `MEDSEG_ALLOW` must name `mypackage.nets`." in card


def test_a_card_of_a_model_of_a_generated_sample_claims_no_real_data():
    about = {**DESCRIBED["about"], "data.kind": "generated"}
    card = model_card({**DESCRIBED, "about": about})

    assert "Learned from: a generated sample in the layout of brats2019." in card
    for part in ("- Source:", "Menze 2015", "Licence of the data", "Learned from: brats2019"):
        assert part not in card


def test_a_card_of_a_mixture_says_how_many_were_generated_where_it_says_what_was_learned_from():
    about = {**DESCRIBED["about"], "data.kind": "given", "data.generated_cases": "8 of 11"}
    (line,) = [
        line for line in model_card({**DESCRIBED, "about": about}).split("\n") if "Learned from" in line
    ]

    assert line.startswith(
        "- Learned from: 8 of 11 cases from a generated sample, with no patient in them; the others"
    )
    assert DESCRIBED["manifest"]["name"] in line


def test_pictures_are_no_slices_in_a_plane_of_the_body():
    pictures = {**DESCRIBED, "manifest": {**DESCRIBED["manifest"], "pictures": {"channels": "grey"}}}

    assert f"Input: 2D {DESCRIBED['slices']['axis']} slices with the channels" in model_card(DESCRIBED)
    assert "Input: pictures with the channels" in model_card(pictures)
    assert "axial" not in model_card(pictures)
