"""How cases are shared out to training, validation and test."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

DEFAULT_RATIO = 0.15
MOST_COUNTED = 10**9
"""No count of patients or slices is larger."""

#: Keys of a rule that share out patients, and never slices.
_OF_PATIENTS = ("stratify", "column", "folds", "fold")


def _is_share(value: object) -> float | int | dict[str, str | list[str]]:
    """A ratio in [0, 1), a count, or column: value(s). One validator, so that an error names one expectation."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1:
        return float(value)
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MOST_COUNTED:
        return value
    if isinstance(value, dict) and value and all(isinstance(column, str) for column in value):
        return {column: _texts(each) for column, each in value.items()}
    raise ValueError(
        "expected a ratio in [0, 1), or {column: value} or {column: [value, value]}, or a count: a whole number, 1 "
        "or more"
    )


def _texts(value: object) -> str | list[str]:
    if isinstance(value, list) and value:
        return [_text(each) for each in value]
    return _text(value)


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)  # columns are text, and `fold: 1` is natural to write
    raise ValueError("expected a text, or a list of texts, for a column")


Share = Annotated[Any, AfterValidator(_is_share)]
"""A ratio of the groups in [0, 1), their count, or a selection by columns of the cases: `{published_split: val}`."""


class SplitRule(BaseModel):
    """How cases are shared out; what is in neither validation nor test is for training.

    Attributes:
        by: `group` keeps all of a patient in one role; `slice` does not, and leaks.
        train: How many are for training; None for all that validation and test leave. With a count, `val` and `test`
            have counts too; all three are shrunk in proportion where there are fewer, and what is beyond them is not
            used. Counts are of patients (a picture or case without one is its own), or of slices with `by: slice`.
        val: Validation: a ratio of the groups, a count, or `{column: value}`, all columns of which must match.
        test: Test, likewise. Both are 0.15 if not given, and None with a `file`.
        seed: Of the draw; None for the definition's.
        stratify: A column of the cases whose values every role gets in like shares; all cases of a patient must
            agree in it. `class`, where no column is called so, is the class of the images: a patient whose images
            have several counts as the one of them that fewest patients have (the first by code point, of classes
            that as many have), and one whose images have none of the classes as of a class of its own.
        file: A JSON or CSV file with the roles, in place of ratios.
        column: A column of the cases that tells the roles: train or training, val, valid or validation, test or
            testing, in upper or lower case. Validation or test that it puts nobody into is drawn by its ratio
            from those for training. Where it is empty for everybody, all are drawn; for some only, it is refused.
        folds: For cross-validation: the patients are shared out to so many folds of like size, the same ones for a
            seed, and `fold` is the test part; `val` is drawn from the others.
        fold: Which of them, from 1.
        everybody: The role of all cases, where a model is only scored; in place of all else.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    by: Literal["group", "slice"] = "group"
    train: Annotated[int, Field(ge=1, le=MOST_COUNTED)] | None = None
    val: Share | None = None
    test: Share | None = None
    seed: Annotated[int, Field(ge=0)] | None = None
    stratify: Annotated[str, Field(min_length=1)] | None = None
    file: Annotated[str, Field(min_length=1)] | None = None
    column: Annotated[str, Field(min_length=1)] | None = None
    folds: Annotated[int, Field(ge=2, le=1000)] | None = None
    fold: Annotated[int, Field(ge=1)] | None = None
    everybody: Literal["train", "val", "test"] | None = None

    @model_validator(mode="before")
    @classmethod
    def _with_ratios(cls, given: Any) -> Any:
        if not isinstance(given, dict) or any(given.get(key) is not None for key in ("file", "everybody")):
            return given
        named = {
            key: value for key, value in given.items() if key not in {"val", "test"} or value is not None
        }
        drawn = (
            {"val": DEFAULT_RATIO} if given.get("folds") else {"val": DEFAULT_RATIO, "test": DEFAULT_RATIO}
        )
        return {**drawn, **named}

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.everybody is not None:
            others = [
                key
                for key in ("train", "val", "test", "file", *_OF_PATIENTS)
                if getattr(self, key) is not None
            ]
            if others or self.by == "slice":
                raise ValueError(
                    f"`everybody` gives all cases one role: remove {', '.join(others) or '`by: slice`'}"
                )
        if self.file is not None and any(each is not None for each in (self.train, self.val, self.test)):
            raise ValueError("`file` gives the roles: remove `train`, `val` and `test`")
        if self.file is not None and self.stratify is not None:
            raise ValueError("`file` gives the roles: remove `stratify`")
        if self.column is not None:
            self._by_column()
        if self.folds is not None or self.fold is not None:
            self._by_fold()
        if self.by == "slice" and self.stratify is not None:
            raise ValueError("`stratify` shares out patients, and `by: slice` shares out slices: remove one")
        if self.train is not None:
            self._by_count(self.train)
        ratios = [each for each in (self.val, self.test) if isinstance(each, float)]
        if sum(ratios) >= 1:
            raise ValueError(
                f"val and test add up to {sum(ratios):g}; expected less than 1, to leave some for training"
            )
        return self

    def _by_count(self, train: int) -> None:
        for key, share in (("val", self.val), ("test", self.test)):
            if isinstance(share, float) and share > 0:
                raise ValueError(
                    f"`train` is a count, and `{key}` a ratio: expected a count of it too, such as {key}: "
                    f"{max(1, round(share * train))} for {share:g} of {train}, or 0"
                )

    def _by_fold(self) -> None:
        if self.folds is None or self.fold is None or self.fold > self.folds:
            raise ValueError(
                f"`folds` is {self.folds} and `fold` is {self.fold}: expected both, and a fold from 1 to `folds`"
            )
        if self.by == "slice" or self.file is not None or self.column is not None or self.test is not None:
            raise ValueError(
                "`fold` is the test part: remove `test`, `file` and `column`, and share out by `group`"
            )
        if isinstance(self.val, dict | int) or self.train is not None:
            raise ValueError("`folds` shares out by drawing: remove `train`; `val` expected a ratio")
        if isinstance(self.val, float) and self.val + 1 / self.folds >= 1:
            raise ValueError(
                f"val and a fold of {self.folds} add up to 1 or more: nobody is left to train on"
            )

    def _by_column(self) -> None:
        if self.file is not None:
            raise ValueError("`file` gives the roles: remove `column`")
        if self.by == "slice":
            raise ValueError(
                "`column` tells the roles of patients, and `by: slice` shares out slices: remove one"
            )
        if any(isinstance(each, dict | int) for each in (self.train, self.val, self.test)):
            raise ValueError("`column` tells the roles: remove `train`; `val` and `test` expected ratios")
