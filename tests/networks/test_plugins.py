"""Extractors of somebody else: registered in a program, or found in an installed package."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import mirfeat
from mirfeat.errors import OptionError
from mirfeat.networks import registry
from tests.conftest import REPOSITORY
from tests.support.sounds import music, write_wav

PAGE = (REPOSITORY / "docs" / "own_extractor.md").read_text(encoding="utf-8")
EXAMPLE = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[0]
ENTRY_POINTS = re.findall(r"```toml\n\[project\.(.*?)\]\n(.*?)```", PAGE, re.DOTALL)[0]


def install(site: Path, name: str, module: str, points: str) -> None:
    """What pip leaves of a package with one module."""
    (site / f"{name}.py").write_text(module)
    record = site / f"{name}-1.0.dist-info"
    record.mkdir(parents=True)
    (record / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (record / "entry_points.txt").write_text(f"[mirfeat.extractors]\n{points}\n")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    folder.mkdir()
    assert ENTRY_POINTS[0].endswith('"mirfeat.extractors"')
    install(folder, "mirfeat_roots", EXAMPLE, ENTRY_POINTS[1].replace('"', ""))
    return folder


def run(site: Path, *command: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join((str(site), str(REPOSITORY)))
    return subprocess.run(
        [sys.executable, *command],
        capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip


def test_the_example_is_short_enough_to_copy() -> None:
    assert len(EXAMPLE.strip().splitlines()) <= 46
    code = [line for line in EXAMPLE.splitlines() if line.strip()]
    assert len(code) <= 40


def test_an_installed_package_is_known_to_functions_and_commands(
    site: Path, tmp_path: Path
) -> None:
    song = write_wav(tmp_path / "song.wav", music(2.5, 16_000), 16_000)
    out = tmp_path / "features"
    extract = ["extract", str(song), "-m", "roots", "-o", str(out)]
    commands = [["list", "roots"], ["info", "roots"], [*extract, "--option", "bands=8"], extract]
    # One process for all: each start costs seconds.
    done = run(site, "-c", f"from mirfeat.cli import main\nprint([main(c) for c in {commands}])")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("roots  16000 Hz mono"), done.stderr
    assert "how many of the 64 bands" in done.stdout
    assert lines[-1] == "[0, 0, 0, 2]", done.stderr
    table = mirfeat.load_features(out)
    assert table.values.shape == (1, 16)
    assert table.provenance.options["bands"] == 8
    assert "bands: 64 here, 8 there" in done.stderr or "bands" in done.stderr


def test_an_installed_package_reaches_scikit_learn_and_workers(site: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import numpy as np, pickle\n"
        "from sklearn.base import clone\n"
        "from mirfeat.adapters.scikit_learn import AudioFeatures\n"
        "sound = (np.sin(np.arange(32_000, dtype=np.float32) / 9), 16_000)\n"
        "features = AudioFeatures('roots', options={'bands': 3})\n"
        "for one in (features, clone(features), pickle.loads(pickle.dumps(features))):\n"
        "    print(one.transform([sound]).shape)\n"
    )
    done = run(site, str(script))
    assert done.stdout == "(1, 6)\n" * 3, done.stderr


BROKEN = {
    "broken_raises": ("raise RuntimeError('out of order')", "RuntimeError: out of order"),
    "broken_number": ("SPEC = 7", "TypeError"),
    "broken_numbers": ("SPEC = [7]", "ConfigError: 7 is no ExtractorSpec"),
    "broken_empty": ("", "AttributeError"),
    "broken_absent": (None, "ModuleNotFoundError"),
    "broken_double": (
        "from mirfeat.networks.mfcc import SPECS as SPEC",
        "an extractor named 'mfcc' is registered already",
    ),
}


def test_broken_packages_are_reported_and_keep_no_other_from_working(site: Path) -> None:
    for name, (module, _) in BROKEN.items():
        install(site, name, module or "", f"{name} = {name}:SPEC")
        if module is None:
            (site / f"{name}.py").unlink()
    code = "import mirfeat; print('import'); print(*mirfeat.list_extractors())"
    done = run(site, "-c", code)
    assert done.returncode == 0
    assert done.stdout.startswith("import\n")
    assert {"choi2017", "mfcc", "roots"} <= set(done.stdout.split())
    for name, (_, said) in BROKEN.items():
        line = done.stderr.partition(f"the extractor '{name}' of {name} is left out")[2]
        assert said in line.partition("is left out")[0]


@pytest.fixture
def roots(monkeypatch: pytest.MonkeyPatch) -> str:
    """The extractor of the page, registered for one test."""
    monkeypatch.setattr(registry, "_SPECS", dict(registry._SPECS))
    namespace: dict[str, object] = {"__name__": "mirfeat_roots"}
    exec(EXAMPLE, namespace)
    mirfeat.register(namespace["SPEC"])  # type: ignore[arg-type]
    return "roots"


def test_what_is_registered_is_loaded_with_its_own_option(roots: str) -> None:
    sound = music(2.0, 16_000)
    whole, low = mirfeat.load_extractor(roots), mirfeat.load_extractor(roots, bands=8)
    assert (whole.dimension, low.dimension) == (128, 16)
    assert repr(low).startswith("roots(bands=8)")
    np.testing.assert_array_equal(low.extract(sound, 16_000)[:8], whole.extract(sound, 16_000)[:8])
    # An option of a part is no option of the other.
    both = mirfeat.load_extractor("roots+mfcc", bands="8")
    assert both.dimension == 16 + 120
    assert both.provenance.parts[0].options["bands"] == 8


def test_a_slip_in_an_option_is_answered_with_the_name_meant(roots: str) -> None:
    with pytest.raises(OptionError, match=r"no option 'band'\. Did you mean 'bands'\? .*short"):
        mirfeat.load_extractor(roots, band=8)
    with pytest.raises(OptionError, match=r"bands=many: invalid literal"):
        mirfeat.load_extractor(roots, bands="many")
