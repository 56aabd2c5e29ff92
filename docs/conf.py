"""The documentation as a site: `sphinx-build -W docs site`, after `pip install ".[docs]"`."""

from __future__ import annotations

project = "medseg"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["tutorial.ipynb"]
html_theme = "furo"
html_title = "medseg"
master_doc = "index"
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
napoleon_google_docstring = True
napoleon_use_ivar = True
python_use_unqualified_type_names = True
suppress_warnings = ["myst.xref_missing"]  # pages of the repository that are none of the site
