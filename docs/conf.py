"""Sphinx's settings. The sources lie in the whole repository, so every link between its files holds on the site."""

import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

import pyro_vae  # noqa: E402

project = "pyro_vae"
author = "the authors of pyro_vae"
version = release = pyro_vae.__version__
language = "en"
root_doc = "docs/index"

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "myst_nb",
    "sphinx_copybutton",
    "docs.builder.docstrings",
    "docs.builder.mathml",
    "docs.builder.reference",
]
include_patterns = [
    "docs/**.md",
    "docs/**.rst",
    "examples/*.ipynb",
    "examples/results/**.md",
    "benchmarks/RESULTS.md",
    "pyro_vae/engine/CAPTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "README.md",
    "SECURITY.md",
]
exclude_patterns = ["docs/gallery/gaps.md", ".*", "build", "dist", "runs", "**/__pycache__", "*.egg-info"]

# Pages of text and notebooks. The outputs shown are the committed ones: a build executes nothing.
nb_execution_mode = "off"
myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
html_math_renderer = "mathml"

# The reference.
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 80
napoleon_google_docstring = True
napoleon_numpy_docstring = True  # the scikit-learn estimator
napoleon_use_ivar = True
napoleon_preprocess_types = True
nitpicky = True
# Names of other libraries: their pages are on the network, and the site is read without one.
nitpick_ignore_regex = [
    (
        "py:.*",
        r"(torch|pyro|numpy|matplotlib|sklearn|collections|contextlib|pathlib|abc|argparse|jsonargparse)\..*",
    ),
    ("py:class", "Figure"),  # matplotlib's, in the annotation of a dataclass
    ("py:class", r"pyro_vae\.distributed\.T"),  # a type variable
    ("py:class", r"pyro_vae\.programs\.(coordinates\.Site|family\.Family)"),  # parts of what an inner name is made of
    ("py:(class|obj)", "RandomState instance|True"),  # words of types in scikit-learn's manner
]

html_theme = "furo"
html_title = "pyro_vae"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_extra_path = ["_extra"]
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
