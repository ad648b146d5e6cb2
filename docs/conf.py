"""The documentation as a site: `make docs`. Pages are Markdown; the library's part comes from its docstrings."""

import unlearnable

project = "unlearnable"
author = "the unlearnable authors"
version = release = unlearnable.__version__
extensions = ["myst_nb", "sphinx.ext.autodoc"]
exclude_patterns = ["_site"]
html_theme = "furo"
html_title = "unlearnable"
html_static_path: list[str] = []
nb_execution_mode = "off"  # the tests run it
myst_heading_anchors = 3
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
templates_path: list[str] = []
