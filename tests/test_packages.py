"""Which packages a declaration needs, and the words that allow them."""

from __future__ import annotations

import shlex

from medseg.allowed import SHIPPED
from medseg.packages import allowing, further_packages


def test_specs_are_found_however_deep_and_what_is_allowed_is_left_out():
    declared = [
        {"network": {"_target_": "torch.nn.Conv2d"}, "loss": {"_target_": "mine.losses.L", "of": 3}},
        {"augment": [{"_target_": "monai.transforms.RandFlip", "prob": {"_target_": "subprocess.Popen"}}]},
    ]

    assert further_packages(declared, SHIPPED) == ["mine.losses", "subprocess"]
    assert further_packages(declared, SHIPPED.also("mine")) == ["subprocess"]


def test_what_can_be_no_module_never_reaches_a_command():
    declared = [
        {"_target_": "x; rm -rf ~.Net"},
        {"_target_": "NoModule"},
        {"_target_": 3},
        {"_target_": "$(a).B"},
    ]

    assert further_packages(declared, SHIPPED) == []


def test_packages_that_the_environment_names_are_allowed(monkeypatch):
    monkeypatch.setenv("MEDSEG_ALLOW", "mine other.part")

    assert further_packages([{"_target_": "mine.A"}, {"_target_": "other.B"}], SHIPPED) == ["other"]


def test_the_words_are_safe_in_a_shell():
    assert shlex.split(allowing(["a", "b; c"])) == ["--allow", "a", "--allow", "b; c"]
    assert allowing([]) == ""
