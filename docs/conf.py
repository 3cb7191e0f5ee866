"""The documentation site: `make docs`."""

import os
import sys
from pathlib import Path

os.environ["COLUMNS"] = "100"  # of the commands' help
sys.path.insert(0, str(Path(__file__).parent / "ext"))

import generated
import repository
from sphinx_gallery.sorting import ExplicitOrder

from mirfeat.version import __version__

project, author, release = "mirfeat", "The mirfeat developers", __version__
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["_build", "ext", "measured_index.md"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "none"
add_module_names = False
html_theme = "pydata_sphinx_theme"
html_title = f"mirfeat {release}"
html_theme_options = {"show_toc_level": 2, "navigation_with_keys": False, "show_nav_level": 2,
                      "secondary_sidebar_items": ["page-toc"]}
html_show_sourcelink = html_copy_source = False
html_static_path = ["static"]
html_css_files = ["site.css"]
sphinx_gallery_conf = {
    "examples_dirs": "../examples/gallery",
    "gallery_dirs": "gallery",
    "within_subsection_order": ExplicitOrder(
        [
            "plot_first_vectors.py",
            "plot_similar_songs.py",
            "plot_map.py",
            "plot_tags_over_time.py",
            "plot_structure.py",
            "plot_classifier.py",
            "plot_leaks.py",
            "plot_layers.py",
            "plot_few_labels.py",
            "plot_what_changes_a_vector.py",
        ]
    ),
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
    "remove_config_comments": True,
    "min_reported_time": 1e9,
    "plot_gallery": os.environ.get("MIRFEAT_GALLERY", "1") == "1",
    "write_computation_times": False,
}
# make linkcheck. Files of the repository are copied into the site when it is built, and the build
# says which are missing.
linkcheck_ignore = [r"(\.\./)*repository/"]
linkcheck_timeout = 30
linkcheck_retries = 3


def setup(app):
    app.connect("builder-inited", generated.write, priority=100)
    app.add_post_transform(repository.RepositoryLinks)
