"""How a run is asked for: what travels from a command or a script down to its steps, and is kept to go on alike."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass

from medseg.allowed import SHIPPED, Allowed
from medseg.errors import DefinitionError
from medseg.machine.crew.crew import Crew
from medseg.machine.crew.opened import opened
from medseg.machine.crew.place import place
from medseg.places import cache_folder, private_folder
from medseg.progress import Progress
from medseg.text import plain


def default_jobs() -> int:
    """Processor cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows have no affinity
        return os.cpu_count() or 1


_TAG = re.compile(r"(?!mlflow\.|medseg\.)[\w./ -]{1,250}=.*", re.DOTALL)
_LONGEST_NAME = 100

#: How a command asks for what scripts call otherwise.
_ASKED = {"run_name": "run_name (--name)", "tags": "tags (--tag)", "register": "register (--alias)"}
_ALIAS = re.compile(r"(?!latest$|v\d+$)[A-Za-z0-9_-]{1,255}", re.IGNORECASE)


def _tag(text: str) -> str:
    if not _TAG.fullmatch(text):
        raise ValueError(
            "expected key=value, with a key of letters, digits, '.', '_', '-', '/' or spaces that does not begin "
            "with mlflow. or medseg."
        )
    return text


def _alias(text: str) -> str:
    if text and (not _ALIAS.fullmatch(text)):
        raise ValueError(
            "expected an alias of letters, digits, '_' and '-', such as champion; not latest, nor v and a number"
        )
    return text


def _line(text: str) -> str:
    if not text.isprintable() or text != text.strip():
        raise ValueError("expected one line, without blanks around it")
    return text


def _own_name(text: str) -> str:
    if text.casefold() == "latest":
        raise ValueError("expected another name, since latest stands for the latest run")
    return _line(text)


def _below(text: str) -> str:
    parts = text.split("/")
    if text and (
        not text.isprintable() or "\\" in text or {"", ".", ".."}.intersection(parts) or ":" in parts[0]
    ):
        raise ValueError("expected the place of a file below the working folder, in its plain form")
    return text


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class RunOptions:
    """The options of the command line, or of a script.

    Attributes:
        device: auto, cpu or cuda.
        skip_bad: Go on without cases that have faults.
        allow_duplicates: Go on though pictures that are one, or nearly, are in different roles.
        allow: Packages that declared objects may come from, beside the usual ones. Those that a file remembers are
            for information: they count only where a command allows them again.
        jobs: Cases that are read at a time, 1 or more; None for as many as there are cores.
        run_name: What a tracker calls the run; None for its time.
        note: Goes before the description that a tracker shows, as Markdown.
        tags: `key=value` texts that a tracker shows.
        register: Alias that the model is registered with, if it is the best so far; empty: it is not registered.
        own_store: Place of the tracking database below the working folder, if it lies there: it goes with the folder
            where that is moved or copied. Whoever writes a file of a run says it.
        on: Where the work is done, case by case or run by run, such as `local:4`; empty: as is usual on this machine.
            No file remembers it: only a command says it.
    """

    device: Literal["auto", "cpu", "cuda"]
    skip_bad: bool
    allow_duplicates: bool = False
    allow: tuple[str, ...] = ()
    jobs: Annotated[int, Field(ge=1)] | None = None
    run_name: (
        Annotated[str, Field(min_length=1, max_length=_LONGEST_NAME), AfterValidator(_own_name)] | None
    ) = None
    note: str = ""
    tags: tuple[Annotated[str, AfterValidator(_tag)], ...] = ()
    register: Annotated[str, AfterValidator(_alias)] = ""
    own_store: Annotated[str, AfterValidator(_below)] = ""
    on: Annotated[str, AfterValidator(place)] = ""

    @classmethod
    def of(cls, *, device: str = "auto", skip_bad: bool = False, **others: Any) -> RunOptions:
        """What a caller says, who may leave out any of them.

        Raises:
            DefinitionError: A value is none that it can have.
        """
        try:
            return cls(device=device, skip_bad=skip_bad, **others)  # type: ignore[arg-type]  # validated there
        except ValidationError as error:
            wrong = {each["loc"][0]: (each["input"], plain(each["msg"])) for each in error.errors()}
            complaints = [
                f"{_ASKED.get(str(name), name)} is {given!r}, {expected}."
                for name, (given, expected) in wrong.items()
            ]
            raise DefinitionError(" ".join(complaints)) from error

    def but(self, **changed: Any) -> RunOptions:
        """The same, but for what is named and not None.

        Raises:
            DefinitionError: A value is none that it can have.
        """
        return self.of(**{**vars(self), **{name: each for name, each in changed.items() if each is not None}})

    @property
    def allowed(self) -> Allowed:
        """Where declared objects may come from."""
        return SHIPPED.also(*self.allow)

    def kept(self) -> dict[str, Any]:
        """What files hold of them: as earlier versions wrote it where nothing later was asked for."""
        later = ("run_name", "note", "tags", "register", "own_store")
        said = {name: value for name, value in asdict(self).items() if name != "on"}
        return {name: value for name, value in said.items() if value or name not in later}

    def own_tags(self) -> dict[str, str]:
        """The tags by their keys."""
        return {key: value for key, _, value in (each.partition("=") for each in self.tags)}

    @property
    def at_once(self) -> int:
        """Cases that are read at a time."""
        return self.jobs or default_jobs()


OWN_TAGS = frozenset(
    {
        *("pipeline", "device", "threads", "git.commit", "definition.fingerprint", "network.parameters"),
        *("data.name", "data.kind", "data.fingerprint", "data.left_out", "data.faults", "data.assumed"),
        *("data.generated_cases", "split.by", "split.hash", "split.leaking", "leaks", "leaks.sha256"),
        *("duplicates.exact", "duplicates.near", "duplicates.sets", "duplicates.across_roles"),
        *(
            "duplicates.odd_parts",
            "unlabelled.cases",
            "unlabelled.held_back",
            "unlabelled.copies_of_labelled",
        ),
        *("version.medseg", "version.python", "version.torch", "version.monai", "version.numpy"),
        *("version.nibabel", "scores.outdated", "resumed.set", "val/score.of", "model.learned_from"),
        *("folds", "sweep", "sweep.trials", "sweep.best", "reproduces", "reproduction"),
    }
)
"""Keys of tags that medseg sets itself, beside those of each step, which begin with its name and a dot."""


def refuse_own_tags(tags: Sequence[str], steps: Iterable[str]) -> None:
    """Refuse tags of a caller that would be replaced by those of the run itself, or by one another.

    Args:
        tags: `key=value` texts.
        steps: Names of the steps of the pipeline.

    Raises:
        DefinitionError: Says which, and lists the keys that are taken.
    """
    keys, begins = [each.partition("=")[0] for each in tags], [f"{step}." for step in steps]
    if twice := sorted({key for key in keys if keys.count(key) > 1}):
        raise DefinitionError(f"tags (--tag) give {', '.join(twice)} twice. Give each key once.")
    if taken := [key for key in keys if key in OWN_TAGS or key.startswith(tuple(begins))]:
        begin = ", ".join([*begins, "mlflow."])
        raise DefinitionError(
            f"tags (--tag): medseg sets {', '.join(taken)} itself, so that yours would be lost. Choose another key. "
            f"Taken are {', '.join(sorted(OWN_TAGS))}, and what begins with {begin} or medseg."
        )


@contextmanager
def working(options: RunOptions, progress: Progress) -> Iterator[Crew]:
    """Give who does the work; within a block of this kind it is the same, and stays until that ends.

    Raises:
        RunError: As `medseg.machine.crew.opened.opened`.
    """
    with opened(
        options.on, options.at_once, progress.say, lambda: private_folder(cache_folder() / "keys")
    ) as crew:
        yield crew
