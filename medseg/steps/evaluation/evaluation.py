"""What `Evaluate` asks of the one who knows how a task's answers are scored, tabled and drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from matplotlib.figure import Figure

from medseg.component import named
from medseg.datasets.case import Case
from medseg.figures.slices.slice_sheet import SliceSheet
from medseg.learning.inference.predictor import Predictor
from medseg.learning.training.batches import SliceDataset
from medseg.steps.evaluation.pooled import Part, Pooled

if TYPE_CHECKING:
    from pandas import DataFrame

Mine = Callable[[int], bool]
"""Whether the slice at a place of a volume has the role that is scored."""

Drawn = Figure | SliceSheet
"""A figure, or slices as pixels."""

Figures = Mapping[str, Callable[[], Figure]]
"""What draws each figure, by its name."""


class Evaluation(Protocol):
    """Gathers the predictions for the cases of a role, and reports them.

    A task names the class that it wants: see `Task.evaluation`. It is made of a predictor and of the settings of
    the step, beside `role`, that its constructor takes by name; it raises ValueError or DefinitionError at those
    that do not suit.
    """

    @property
    def noun(self) -> str:
        """What the cases are called, in the plural."""

    def asked(self, case: Case, mine: Mine | None) -> Any:
        """Predict one case, through the very path of `medseg predict`, and score it; changes nothing here.

        It may be asked in another process: the evaluation, its arguments and what it gives can be pickled.

        Args:
            case: Of the role.
            mine: Its slices that count, where the data were split by slice; None where all do.

        Returns:
            What `keep` takes.

        Raises:
            DataError: It cannot be scored.
        """

    def keep(self, answer: Any) -> None:
        """Take what `asked` gave into the tables."""

    def notes(self) -> Sequence[str]:
        """What keeps the scores from saying much, as sentences without a full stop."""

    def tables(self, seed: int) -> Mapping[str, DataFrame]:
        """Tables by what follows the role in the names of their files, written with their index if it has a name.

        One is called the empty text, and has a row a case (and name); `_summary` has name, score and statistics.

        Args:
            seed: Of intervals.
        """

    def metrics(self, tables: Mapping[str, DataFrame], role: str) -> dict[str, float]:
        """The figures of the tables as a tracker keeps them, their keys beginning with the role's word.

        Args:
            tables: As `tables` or `pooled` gives them.
            role: The word.
        """

    def figures(
        self, summary: DataFrame, cases: Mapping[str, Case], role: str, say: Callable[[str], None]
    ) -> Mapping[str, Callable[[], Drawn]]:
        """What draws each figure, and each sheet of slices to look through.

        Args:
            summary: That of the tables.
            cases: By id, to look at some of them again.
            role: For headings.
            say: Tells the user what cannot be drawn.
        """

    @property
    def parts(self) -> Sequence[str]:
        """The tables that `pooled` needs of each test part, by what follows the role in their names."""

    def pooled(self, parts: Sequence[Part], seed: int) -> Pooled:
        """Put the tables of several test parts together, as those of the folds of a cross-validation.

        Args:
            parts: Tables by `parts`, as an evaluation with these settings gave them; names and classes as text.
            seed: Of intervals.

        Raises:
            RunError: A case is in two of them.
        """

    @staticmethod
    def validation_picture(
        predictor: Predictor, dataset: SliceDataset, scores: Mapping[str, float], *, heading: str
    ) -> Figure:
        """Draw validation cases, good and bad ones, as the network sees them.

        Args:
            predictor: With the network to ask.
            dataset: The validation slices.
            scores: Of each case, by id.
            heading: Above the picture.
        """


def evaluation_of(predictor: Predictor) -> type[Evaluation]:
    """The class that reports predictions of this model on such files."""
    found: type[Evaluation] = named(predictor.task.evaluation(predictor.preparation.files))
    return found
