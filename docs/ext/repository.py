"""Links from pages to files of the repository that are beside docs/, and to pages made from them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.transforms.post_transforms import SphinxPostTransform

REPOSITORY = Path(__file__).resolve().parents[2]
# Files of the repository that the site has as pages.
_PAGES = {
    "README.md": "index",
    "CONTRIBUTING.md": "contributing",
    "CHANGELOG.md": "changelog",
}
_FOLDER = "repository"


class RepositoryLinks(SphinxPostTransform):
    """Links to files that are no pages lead to their page, or to a copy of the file in the site.

    Pages are read on the repository's site too, where such links work as they are.
    """

    default_priority = 8  # before MyST's own, which warns of what it does not find

    def run(self, **_: Any) -> None:
        """Replace them."""
        for node in list(self.document.findall(pending_xref)):
            if node.get("reftype") == "myst":
                for path in self._candidates(node):
                    if path.is_file() and path.is_relative_to(REPOSITORY):
                        if address := self._address(path, node["refdoc"]):
                            words = node[0].deepcopy().children
                            link = nodes.reference("", "", *words, internal=True, refuri=address)
                            node.replace_self(link)
                        break

    def _candidates(self, node: pending_xref) -> Iterator[Path]:
        target = str(node["reftarget"]).partition("#")[0]
        if node.get("refdomain") == "doc":
            if target not in self.env.all_docs:
                yield Path(f"{target}.md")
        elif target:
            # CONTRIBUTING.md is included by a page in docs/ and is itself in the folder above.
            yield (Path(self.env.doc2path(node["refdoc"])).parent / target).resolve()
            yield (REPOSITORY / target).resolve()

    def _address(self, path: Path, document: str) -> str:
        name = path.relative_to(REPOSITORY).as_posix()
        page = _PAGES.get(name, "")
        if path.is_relative_to(self.app.srcdir) and path.suffix == ".md":
            page = path.relative_to(self.app.srcdir).with_suffix("").as_posix()
        if page:
            return self.app.builder.get_relative_uri(document, page)
        copy = Path(self.app.outdir) / _FOLDER / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
        return f"{'../' * document.count('/')}{_FOLDER}/{name}"
