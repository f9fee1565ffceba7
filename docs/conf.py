"""Sphinx configuration of the documentation, which `make docs` builds into build/docs; see also `generated.py`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import fxlive

project = "fxlive"
author = "the fxlive authors"
copyright = "the fxlive authors, MIT licence"
release = version = fxlive.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "generated"]
exclude_patterns = ["_build"]
highlight_language = "none"  # of indented blocks, whose language is unknown
default_role = "py:obj"  # `fxlive.run` in a docstring is a link; `unlink` keeps `frame` as code

myst_enable_extensions = ["attrs_block", "colon_fence", "deflist"]
myst_heading_anchors = 3
myst_links_external_new_tab = True
nb_execution_mode = "off"  # the tests have executed the notebooks

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_google_docstring = False
napoleon_use_rtype = False
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = "fxlive"
html_static_path = ["_static"]
html_css_files = ["fxlive.css"]
html_copy_source = False
html_show_sphinx = False
