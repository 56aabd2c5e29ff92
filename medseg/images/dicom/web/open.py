"""Opening the archives that a command names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager

from medseg.images.dicom.web.address import Address
from medseg.images.dicom.web.archive import FOLDER, Archive
from medseg.images.dicom.web.credentials import from_environment
from medseg.places import clear_passing


@contextmanager
def archives(*addresses: str) -> Iterator[Mapping[str, Archive]]:
    """The archives of a command, by their addresses as they were given; nothing is asked yet.

    What killed processes had fetched is removed.

    Raises:
        RefusedError: An address is none, dicomweb-client is missing, or the environment says half of who asks.
    """
    clear_passing(FOLDER)
    read = {given: Address.of(given) for given in addresses}
    auth = from_environment(list(read.values()))
    with ExitStack() as stack:
        yield {given: stack.enter_context(closing(Archive(address, auth))) for given, address in read.items()}
