from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medseg.datasets.manifest.csv_layout import CsvLayout
from medseg.datasets.manifest.manifest import Manifest
from medseg.datasets.manifest.patterns import Layout, Place
from medseg.errors import ManifestError

SHIPPED = sorted((Path(__file__).parents[3] / "data_manifests").glob("*.yaml"))
#: Data of which nothing is known; `radiology` is generated, unless folders are given in its place.
OF_THE_USER = {"picture_pairs", "picture_table", "image_folders", "image_table", "radiology"}

YAML = """
name: tiny
about: Two channels.
source: Here.
licence: None.
citation: Nobody.
obtain: Ask.
channels: [t1, t2]
classes: [outside, healthy, tumour]
label_values: {4: tumour}
derive: {from: 0, outside: outside, inside: healthy}
layout: {images: '**/{case}/{case}_{channel}.nii*', mask: '**/{case}/{case}_seg.nii*'}
"""


def manifest_from(tmp_path: Path, text: str) -> Manifest:
    path = tmp_path / "tiny.yaml"
    path.write_text(text, encoding="utf-8")
    return Manifest.from_yaml(path)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_each_shipped_manifest_is_complete_and_named_as_its_file(path: Path) -> None:
    manifest = Manifest.from_yaml(path)
    assert manifest.name == path.stem
    assert manifest.ids == ("identifying" if path.stem in OF_THE_USER else "pseudonyms")
    for text in (manifest.about, manifest.licence, manifest.citation, manifest.obtain):
        assert text.endswith(".")
    assert manifest.open_classes or len(manifest.label_rule().classes) >= 2


def test_ids_are_identifying_unless_said_otherwise(tmp_path: Path) -> None:
    assert manifest_from(tmp_path, YAML).ids == "identifying"


def test_the_label_rule_holds_what_the_file_says(tmp_path: Path) -> None:
    rule = manifest_from(tmp_path, YAML).label_rule()
    assert rule.classes == ("outside", "healthy", "tumour")
    assert rule.values == {4: "tumour"}
    assert rule.derive is not None
    assert (rule.derive.value, rule.derive.outside, rule.derive.inside) == (0, "outside", "healthy")


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("channels: [t1, t2]", "channels: [t1, t1]", "'channels' holds ['t1'] more than once"),
        ("channels: [t1, t2]", "channels: [t1, mask]", "choose another name"),
        ("channels: [t1, t2]", "channels: []", "'channels'"),
        ("channels: [t1, t2]", "channels: [t1, 't/2']", "letters, digits"),
        ("[outside, healthy, tumour]", "[outside, healthy, tumour, tumour]", "more than once"),
        (
            "[outside, healthy, tumour]",
            "[outside, healthy, tumour, oedema]",
            "no label value stands for ['oedema']",
        ),
        ("{4: tumour}", "{4: tumor}", "['tumor'], which are not among"),
        ("{4: tumour}", "{2147483648: tumour}", "hold [2147483648]; expected 32-bit"),
        ("from: 0", "from: -2147483649", "hold [-2147483649]; expected 32-bit"),
        ("{4: tumour}", "{four: tumour}", "'label_values.four"),
        ("{4: tumour}", "{4: tumour, 0: healthy}", "both claim the value 0"),
        ("inside: healthy", "inside: outside", "['healthy']"),
        ("from: 0", "from: zero", "'derive.from'"),
        ("about: Two", "abuot: Two", "did you mean 'about'?"),
        ("images:", "image:", "did you mean 'images'?"),
        ("{case}_{channel}", "{case}_{chanel}", "{channel}"),
        ("{case}/{case}_{channel}", "{channel}", "needs {case}"),
        ("{case}_seg", "{case}_**", "no meaning"),
        ("{case}_seg", "{case}_{within}", "no meaning"),
        ("mask: '**/", "mask: '{within}", "in all or none"),
        ("mask: '**/", "mask: '**/{within}", "which stands for the same"),
        ("mask:", "objects: '{case}/*', mask:", "'mask' and 'objects' are both given"),
        ("mask:", "pair: order, mask:", "takes one image a case, and there are 2 channels"),
        ("mask: '**/{case}/{case}_seg.nii*'", "pair: order", "it needs 'mask'"),
        ("name: tiny", "name: tiny\ngroup: {column: doi}", "the column 'doi', which is not among"),
        ("name: tiny", "name: tiny\ngroup: {colunm: doi}", "'group.colunm': there is no such key"),
        ("name: tiny", "name: tiny\ngroup: 'pat('", "'group' is no regular expression"),
        ("name: tiny", "name: tiny\ngroup: 'pat'", "'group' needs a group (...)"),
        ("name: tiny", "name: tiny\ncolumns: {grade: HGG}", "'columns.grade' needs a group (...)"),
        ("name: tiny", "name: tiny\nname: tiny", "twice"),
    ],
)
def test_a_contradiction_is_refused_with_its_key(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    assert old in YAML
    with pytest.raises(ManifestError) as refused:
        manifest_from(tmp_path, YAML.replace(old, new))
    assert complaint in str(refused.value)
    assert "tiny.yaml" in str(refused.value)


LIST = "layout: {csv: list.csv, image: {t1: a, t2: b}, mask: c}"


def test_a_list_of_paths_may_stand_in_place_of_patterns(tmp_path: Path) -> None:
    start = YAML[: YAML.index("layout:")]
    manifest = manifest_from(tmp_path, f"{start}{LIST[:-1]}, extra: [site]}}")
    assert isinstance(manifest.layout, CsvLayout)
    assert manifest.column_names == ("site",)
    for old, new, complaint in (
        ("{t1: a, t2: b}", "a", "expected a column for each of ['t1', 't2']"),
        ("{t1: a, t2: b}", "{t1: a}", "'image' names ['t1']"),
        ("mask: c", "maks: c", "'layout.maks': there is no such key; did you mean 'mask'?"),
        (
            "mask: c",
            "group: d}\ngroup: {column: site}\ncolumns: {site: '(a)'",
            "one of them tells the patient",
        ),
        ("mask: c", "extra: [site]}\ncolumns: {site: '(a)'", "['site'] more than once"),
    ):
        with pytest.raises(ManifestError) as refused:
            manifest_from(tmp_path, start + LIST.replace(old, new))
        assert complaint in str(refused.value)


def test_a_manifest_of_colours_has_one_file_for_all_channels(tmp_path: Path) -> None:
    start = YAML[: YAML.index("channels:")] + "channels: [red, green, blue]\npictures: {channels: rgb}\n"
    manifest = manifest_from(tmp_path, start + "layout: {images: 'i/{case}.*', objects: '{case}/*'}")
    assert {manifest.part(channel) for channel in manifest.channels} == {"image"}
    for layout, complaint in (
        ("images: '{case}_{channel}.*'", "{channel}"),
        ("images: {red: '{case}', green: '{case}', blue: '{case}'}", "one file holds all channels"),
        ("csv: a.csv, image: {red: a, green: a, blue: a}", "one file holds all channels"),
    ):
        with pytest.raises(ManifestError) as refused:
            manifest_from(tmp_path, f"{start}layout: {{{layout}}}")
        assert complaint in str(refused.value)


IMAGES = """
name: tiny
about: Classes of images.
source: Here.
licence: None.
citation: Nobody.
obtain: Ask.
channels: [grey]
pictures: {channels: grey}
image_labels: one
layout: {class_folders: true}
"""
MANY = IMAGES.replace("image_labels: one", "image_labels: many")


def test_classes_of_images_may_be_given_later(tmp_path: Path) -> None:
    opened = manifest_from(tmp_path, IMAGES)
    assert opened.open_classes
    assert opened.truth == "one"
    assert opened.classes == opened.label_rule().classes == ()
    assert opened.column_names == ("role",)
    closed = opened.with_classes(["e\u0301", "10_x", "A b"])
    assert closed.classes == closed.label_rule().classes == ("\u00e9", "10_x", "A b")
    assert not closed.open_classes
    assert closed.label_rule().values == {}
    assert closed.model_copy(update={"classes": ()}) == opened
    with pytest.raises(ManifestError, match=r"'classes': .* more than once"):
        opened.with_classes(["a", "b", "a"])
    with pytest.raises(ManifestError, match="those of label maps"):
        manifest_from(tmp_path, YAML).with_classes(["a", "b"])
    assert manifest_from(tmp_path, YAML).truth == "masks"


def test_classes_and_how_they_are_told_enter_the_fingerprint(tmp_path: Path) -> None:
    texts = [
        IMAGES,
        f"{IMAGES}classes: [a, b]",
        f"{IMAGES}classes: [b, a]",
        f"{IMAGES}group: {{tag: PatientID}}",
        IMAGES.replace("channels: grey}", "channels: grey, window: none}"),
        IMAGES.replace("channels: grey}", "channels: grey, window: {centre: 40, width: 400}}"),
        *(
            IMAGES.replace("layout: {class_folders: true}", f"layout: {{csv: a, image: i, label: {x}}}")
            for x in "kl"
        ),
        *(
            MANY.replace("layout: {class_folders: true}", f"layout: {{csv: a, image: i, labels: {x}}}")
            for x in ("[k]", "{column: k}", "{column: k, separator: ';'}", "{column: k, empty_is_none: true}")
        ),
    ]
    prints = {manifest_from(tmp_path, text).fingerprint() for text in texts}
    assert len(prints) == len(texts)
    resolved = manifest_from(tmp_path, IMAGES).with_classes(["a", "b"])
    assert resolved.fingerprint() == manifest_from(tmp_path, texts[1]).fingerprint()


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("image_labels: one", "image_labels: two", "'image_labels'"),
        ("image_labels: one", "image_labels: many", "a folder tells one class"),
        ("image_labels: one\n", "", "say 'image_labels: one'"),
        ("pictures: {channels: grey}", "", "say how they become channels under 'pictures'"),
        ("channels: grey}", "channels: grey, mask_above: 1}", "'pictures.mask_above' is of label maps"),
        ("channels: grey}", "channels: grey, window: bright}", "'pictures.window"),
        ("channels: grey}", "channels: grey, window: {center: 1, width: 2}}", "did you mean 'centre'?"),
        ("channels: [grey]", "channels: [a, b]", "is one file, and there are ['a', 'b']"),
        ("image_labels: one", "image_labels: one\nclasses: [a]", "name at least two"),
        ("image_labels: one", "image_labels: one\nclasses: [a, a]", "more than once"),
        ("image_labels: one", "image_labels: one\nclasses: [a, '../b']", "cannot be the name of a class"),
        (
            "image_labels: one",
            "image_labels: one\nclasses: [a+, a*]",
            "cannot be distinguished in the names of scores",
        ),
        ("image_labels: one", "image_labels: one\nlabel_values: {1: a}", "are of label maps"),
        ("image_labels: one", "image_labels: one\ninstances: a", "are of label maps"),
        ("class_folders: true", "class_folders: false", "'layout.class_folders'"),
        ("class_folders: true", "class_folders: true, case: a", "'layout.case': there is no such key"),
        ("class_folders: true", "images: '{case}.*'", "'layout' tells no class"),
        ("class_folders: true", "images: '{case}.*', mask: 'm/{case}.*'", "take out 'mask' or 'objects'"),
        ("class_folders: true", "csv: a, image: i", "expected 'label' and not 'labels'"),
        ("class_folders: true", "csv: a, image: i, labels: [k]", "expected 'label' and not 'labels'"),
        ("class_folders: true", "csv: a, image: i, label: l, mask: m", "take out 'mask' or 'objects'"),
        ("class_folders: true", "csv: a, image: i, lables: l", "did you mean 'label"),
        (
            "class_folders: true}",
            "class_folders: true}\ngroup: {}",
            "name a 'tag', a 'pattern' or a 'column'",
        ),
        ("class_folders: true}", "class_folders: true}\ngroup: {tag: patient id}", "expected the keyword"),
        ("class_folders: true}", "class_folders: true}\ngroup: {tags: PatientID}", "did you mean 'tag'?"),
        (
            "class_folders: true}",
            "class_folders: true}\ngroup: {pattern: a}",
            "'group.pattern' needs a group (...)",
        ),
        (
            "class_folders: true}",
            "class_folders: true}\ngroup: {pattern: '('}",
            "'group.pattern' is no regular",
        ),
        ("class_folders: true}", "class_folders: true}\ncolumns: {role: '(a)'}", "['role'] more than once"),
    ],
)
def test_a_contradiction_about_classes_of_images_is_refused(
    tmp_path: Path, old: str, new: str, complaint: str
) -> None:
    assert old in IMAGES
    with pytest.raises(ManifestError) as refused:
        manifest_from(tmp_path, IMAGES.replace(old, new))
    assert complaint in str(refused.value)


@pytest.mark.parametrize(
    ("layout", "complaint"),
    [
        ("csv: a, image: i, label: l", "expected 'labels' and not 'label'"),
        ("csv: a, image: i, labels: [k, k]", "'layout.labels': ['k'] are named more than once"),
        (
            "csv: a, image: i, labels: [k, l]}\nclasses: [k, m]\ncolumns: {",
            "expected a column for each of ['k', 'm']",
        ),
        ("csv: a, image: i, labels: {columns: k}", "did you mean 'column'?"),
        ("csv: a, image: i, labels: {column: k, separator: ''}", "'layout.labels"),
    ],
)
def test_a_contradiction_about_several_classes_at_once_is_refused(
    tmp_path: Path, layout: str, complaint: str
) -> None:
    with pytest.raises(ManifestError) as refused:
        manifest_from(tmp_path, MANY.replace("class_folders: true", layout))
    assert complaint in str(refused.value)


def test_a_tag_is_read_from_pictures_alone(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"'group.tag' is read from DICOM pictures"):
        manifest_from(tmp_path, f"{YAML}group: {{tag: PatientID}}")


def test_an_absent_manifest_is_a_manifest_error(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="cannot be read"):
        Manifest.from_yaml(tmp_path / "none.yaml")


def test_the_fingerprint_tells_meaning_and_not_prose(tmp_path: Path) -> None:
    first = manifest_from(tmp_path, YAML)
    prose = manifest_from(tmp_path, YAML.replace("Two channels.", "Others.").replace("name: tiny", "name: x"))
    meaning = manifest_from(tmp_path, YAML.replace("{4: tumour}", "{3: tumour}"))
    named = manifest_from(tmp_path, YAML.replace("_seg", "_truth"))
    assert first.fingerprint() == prose.fingerprint()
    assert len({first.fingerprint(), meaning.fingerprint(), named.fingerprint()}) == 3


def test_reading_the_class_imports_nothing_heavy() -> None:
    heavy = "{'torch', 'monai', 'pandas', 'numpy', 'nibabel', 'scipy'}"
    code = f"import sys, medseg.datasets.manifest.manifest; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("relative", "place"),
    [
        ("a/a_t1.nii", Place("a", "t1")),
        ("HGG/x/a/a_t1ce.nii.gz", Place("a", "t1ce")),
        ("a/a_t1post.nii.gz", Place("a", "t1ce")),
        ("a_b_1/a_b_1_seg.nii.gz", Place("a_b_1", "mask")),
        ("a/b_t1.nii.gz", None),
        ("a_t1.nii.gz", None),
        ("a/a_t1.nii.gz.part", None),
        ("a/a_t1.niix", None),
        ("a/a_t1.nii.bz2", None),
        ("a/a_t1cex.nii", None),
        ("A/a_t1.nii", None),
    ],
)
def test_a_layout_reads_paths_as_documented(relative: str, place: Place | None) -> None:
    layout = Layout(
        images="**/{case}/{case}_{channel}.nii*",
        mask="**/{case}/{case}_seg.nii*",
        spelling={"t1ce": ("t1ce", "t1post")},
    )
    assert layout.compiled(["t1", "t1ce"]).place(relative) == place


def test_a_star_stays_within_one_name() -> None:
    matcher = Layout(images="{case}_*_slice*.nii*").compiled(["t1"])
    assert matcher.place("p_x.y_slice9.nii") == Place("p", "t1")
    assert matcher.place("p_x/y_slice9.nii") is None


def test_a_mask_wins_over_an_image_whose_pattern_fits_as_well() -> None:
    matcher = Layout(images="{case}.nii*", mask="{case}_gt.nii*").compiled(["cine"])
    assert matcher.place("p1_gt.nii.gz") == Place("p1", "mask")
    assert matcher.place("p1.nii.gz") == Place("p1", "cine")


def test_images_may_have_a_pattern_for_each_channel() -> None:
    layout = Layout(images={"ct": "CT/{case}.nii*", "pet": ("PET/{case}.nii*", "SUV/{case}.nii*")})
    matcher = layout.compiled(["ct", "pet"])
    assert matcher.place("SUV/1.nii") == Place("1", "pet")
    assert matcher.place("CT/1.nii") == Place("1", "ct")
    with pytest.raises(ValueError, match="expected a pattern for each"):
        layout.compiled(["ct"])


def test_folders_within_are_part_of_the_id_and_image_and_mask_agree_in_them() -> None:
    layout = Layout(images="{within}Images/{case}.*", mask="{within}Masks/{case}.*")
    matcher = layout.compiled(["x"])
    assert matcher.place("Train/b/Images/1.png") == Place("1", "x", "Train/b/")
    assert matcher.place("Train/b/Masks/1.tif") == Place("1", "mask", "Train/b/")
    assert matcher.place("Images/1.png") == Place("1", "x")
    twice = Layout(images="{within}i/{within}{case}.*").compiled(["x"])
    assert twice.place("a/b/i/a/b/1.png") == Place("1", "x", "a/b/")
    assert twice.place("a/b/i/a/c/1.png") is None


def test_a_spelling_for_two_channels_is_refused() -> None:
    layout = Layout(images="{case}_{channel}.nii*", spelling={"t1ce": ("t1", "t1c")})
    with pytest.raises(ValueError, match="more than one channel"):
        layout.compiled(["t1", "t1ce"])


@pytest.mark.slow
@given(
    case=st.text(st.characters(exclude_characters="/", exclude_categories=["Cs"]), min_size=1),
    above=st.lists(st.text("ab.", min_size=1), max_size=3),
)
def test_any_name_of_a_case_is_read_back(case: str, above: list[str]) -> None:
    matcher = Layout(images="**/{case}/{case}_{channel}.nii*").compiled(["t1", "t1ce"])
    for channel in ("t1", "t1ce"):
        relative = "/".join([*above, case, f"{case}_{channel}.nii.gz"])
        assert matcher.place(relative) == Place(case, channel)


def test_the_channel_that_is_shown_is_one_of_them_and_no_part_of_the_meaning(tmp_path: Path) -> None:
    plain = manifest_from(tmp_path, YAML)
    shown = manifest_from(tmp_path, YAML + f"shown: {plain.channels[-1]}\n")
    assert shown.shown == plain.channels[-1]
    assert shown.fingerprint() == plain.fingerprint()
    with pytest.raises(ManifestError, match="'shown' is pet, which is not among 'channels'"):
        manifest_from(tmp_path, YAML + "shown: pet\n")


def test_with_a_brightness_for_masks_no_value_but_0_and_1_can_be_named(tmp_path: Path) -> None:
    text = IMAGES.replace("image_labels: one\n", "").replace(
        "layout: {class_folders: true}", "layout: {images: '{case}.png', mask: '{case}_m.png'}"
    )
    text = text.replace("channels: grey}", "channels: grey, mask_above: 127}") + "classes: [a, b]\n"
    with pytest.raises(ManifestError, match=r"names \[255\].*name 1 for what is brighter"):
        manifest_from(tmp_path, text + "label_values: {0: a, 255: b}\n")
    assert manifest_from(tmp_path, text + "label_values: {0: a, 1: b}\n").pictures.mask_above == 127


STACKED = """volumes: {channels: stacked}
layout: {images: 'imagesTr/{case}.nii*', mask: 'labelsTr/{case}.nii*'}
"""


def test_channels_of_one_volume_have_one_pattern_and_enter_the_fingerprint(tmp_path: Path) -> None:
    layout = YAML[YAML.index("layout:") :]
    apart = manifest_from(tmp_path, YAML)
    stacked = manifest_from(tmp_path, YAML.replace(layout, STACKED))

    assert stacked.together
    assert stacked.files().meaning()["planes"] == list(stacked.channels)
    one_by_one = STACKED.replace("volumes: {channels: stacked}\n", "").replace(
        "{case}.nii", "{case}_{channel}.nii", 1
    )
    assert stacked.fingerprint() != manifest_from(tmp_path, YAML.replace(layout, one_by_one)).fingerprint()
    assert "volumes" not in apart.model_dump(exclude_none=True)


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        ("pictures: {channels: grey}\n", "'volumes' says what files of volumes are"),
        ("format: zipped\n", "'volumes' says what files of volumes are"),
    ],
)
def test_stacked_volumes_are_nifti(tmp_path: Path, more: str, complaint: str) -> None:
    text = YAML[: YAML.index("derive:")] + YAML[YAML.index("layout:") :]
    text = text.replace("classes: [outside, healthy, tumour]", "classes: [tumour]")

    with pytest.raises(ManifestError, match=complaint):
        manifest_from(tmp_path, text[: text.index("layout:")] + more + STACKED)
