"""The documentation site: `make docs`."""

import os
from pathlib import Path

os.environ["COLUMNS"] = "100"  # of the commands' help

from mirfeat.cli.parser import get_parser
from mirfeat.version import __version__

project, author, release = "mirfeat", "The mirfeat developers", __version__
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
# Pages are read on the repository's site too and link to files beside docs/; a test follows them.
suppress_warnings = ["myst.xref_missing"]
autodoc_member_order = "bysource"
autodoc_typehints = "none"
add_module_names = False
html_theme = "pydata_sphinx_theme"
html_title = f"mirfeat {release}"
# The top of the page leads to all pages, its right side through this one.
html_sidebars = {"**": []}
html_theme_options = {"show_toc_level": 2, "navigation_with_keys": False}


def write_commands(app):
    """The page of all commands, from their parser."""
    parser = get_parser()
    (commands,) = (action for action in parser._actions if hasattr(action, "choices") and action.choices)
    parts = ["# Commands", "", "```text", parser.format_help().rstrip(), "```", ""]
    for name, command in commands.choices.items():
        parts += [f"## mirfeat {name}", "", "```text", command.format_help().rstrip(), "```", ""]
    text = "\n".join(parts)
    page = Path(app.srcdir) / "commands.md"
    if not page.exists() or page.read_text(encoding="utf-8") != text:
        page.write_text(text, encoding="utf-8")


def setup(app):
    app.connect("builder-inited", write_commands)
