"""What a file of pictures holds as stored, and what a kind of such files does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from numpy.typing import NDArray

from medseg.images.pictures.watched import Watched
from medseg.images.refusal import RefusedError

MOST_PICTURES = 10_000
"""Of a file, which takes time for each, be it of one pixel."""


@dataclass(frozen=True)
class Stored:
    """What a file holds: planes (H, W, 1 or 3), and the palette (N, 3), uint8 or uint16, if they are its indices.

    `inverted`: greys are stored with white as zero; `turned`: the orientation applied; `made_up`: medseg made it.
    """

    planes: NDArray[Any]
    palette: NDArray[Any] | None = None
    notes: tuple[str, ...] = ()
    lossy: bool = False
    inverted: bool = False
    turned: int = 1
    made_up: bool = False


class Kind(ABC):
    """A kind of file."""

    name: ClassVar[str]
    starts: ClassVar[tuple[bytes, ...]]
    suffixes: ClassVar[tuple[str, ...]]

    def surely(self, head: bytes) -> bool:
        """Whether the first bytes of a file tell this kind whatever its name; two letters alone do not."""
        return head.startswith(self.starts)

    @abstractmethod
    def size(self, handle: Watched) -> tuple[int, int]:
        """Height and width as read, from the header."""

    @abstractmethod
    def content(self, handle: Watched) -> bytes:
        """All bytes of a file, coded as they are; of several pictures as well.

        Raises:
            RefusedError: They are more than its pixels can need.
        """

    @abstractmethod
    def read(self, handle: Watched) -> Stored:
        """Decode the one picture of a file."""

    def sizes(self, handle: Watched) -> tuple[int, int, int]:
        """How many pictures `read_all` gives, their height and width, from the header."""
        return (1, *self.size(handle))

    def read_all(self, handle: Watched) -> list[Stored]:
        """Decode all pictures of a file, in their order; they are of one size."""
        return [self.read(handle)]


def refuse_many(count: int, name: str, called: str) -> None:
    """Refuse a file of more pictures than `MOST_PICTURES`, whose kind calls them frames or pages.

    Raises:
        RefusedError: It is one.
    """
    if count > MOST_PICTURES:
        raise RefusedError(
            f"the {name} holds {count} {called}, expected {MOST_PICTURES} at most",
            "Save those that are needed in several files, or leave the case out.",
        )
