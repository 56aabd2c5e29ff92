"""Opening the archives that a command names."""

from __future__ import annotations

from medseg.images.dicom.web.address import Address
from medseg.images.dicom.web.archive import Archive
from medseg.images.dicom.web.credentials import from_environment


def archives(*addresses: str) -> dict[str, Archive]:
    """The archives of a command, by their addresses as they were given; nothing is asked yet.

    Raises:
        RefusedError: An address is none, dicomweb-client is missing, or the environment says half of who asks.
    """
    read = {given: Address.of(given) for given in addresses}
    auth = from_environment(list(read.values()))
    return {given: Archive(address, auth) for given, address in read.items()}
