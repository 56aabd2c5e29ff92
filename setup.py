"""Which packages are installed: those that are found, and two of YAML files that lie beside `medseg`."""

from setuptools import find_packages, setup

setup(packages=[*find_packages(include=["medseg", "medseg.*"]), "medseg._pipelines", "medseg._manifests"])
