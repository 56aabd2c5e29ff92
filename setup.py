"""Which packages are installed: those that are found, and two of YAML files that lie beside `medseg`; and README."""

import re
from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).resolve().parent
LINK = re.compile(r"\[([^\]]+)\]\((?!https?:|#)([^)]+)\)")


def described() -> str:
    """README for a page of an index, where the files that it links to are not.

    Its links lead to the `Source` of `project_urls` in setup.cfg; while none is set, they name the file in the source
    distribution.
    """
    config = ConfigParser()
    config.read(HERE / "setup.cfg", encoding="utf-8")
    urls = config.get("metadata", "project_urls", fallback="")
    source = re.search(r"^\s*Source\s*=\s*(\S+)", urls, re.MULTILINE)
    linked = (
        rf"[\1]({source[1].rstrip('/')}/blob/v{config['metadata']['version']}/\2)" if source else r"\1 (`\2`)"
    )
    return LINK.sub(linked, (HERE / "README.md").read_text(encoding="utf-8"))


setup(
    packages=[*find_packages(include=["medseg", "medseg.*"]), "medseg._pipelines", "medseg._manifests"],
    long_description=described(),
    long_description_content_type="text/markdown",
)
