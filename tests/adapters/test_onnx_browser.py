"""The example for browsers, in headless Chromium, on an excerpt."""

import functools
import http.server
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mirfeat
from mirfeat.audio.clip import Audio
from mirfeat.pipeline.centred import converted
from tests.conftest import REPOSITORY

# npm fetches onnxruntime-web.
pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    webdriver = pytest.importorskip("selenium.webdriver")
    chromium, driver, npm = map(shutil.which, ("chromium", "chromedriver", "npm"))
    if not (chromium and driver and npm):
        pytest.skip("Chromium, chromedriver and npm are not here")
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(REPOSITORY / "examples" / "onnx_in_browser", folder, dirs_exist_ok=True)
    mirfeat.export_onnx(mirfeat.load_extractor("choi2017"), folder / "choi2017.onnx")
    subprocess.run([npm, "install", "--silent", "onnxruntime-web"], cwd=folder, check=True)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        extensions_map = {  # noqa: RUF012
            **http.server.SimpleHTTPRequestHandler.extensions_map,
            ".mjs": "text/javascript",
            ".wasm": "application/wasm",
        }

        def log_message(self, *_: object) -> None:
            """Nothing."""

    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        options = webdriver.ChromeOptions()
        options.binary_location = chromium
        for argument in ("--headless=new", "--no-sandbox", "--disable-gpu"):
            options.add_argument(argument)
        browser = webdriver.Chrome(options, webdriver.ChromeService(driver))
        browser.set_script_timeout(180)
        browser.get(f"http://127.0.0.1:{server.server_port}/index.html")
        yield browser
        browser.quit()
        server.shutdown()


def test_a_browser_gives_the_vector_of_extract(page: Any, music: Path) -> None:
    extractor = mirfeat.load_extractor("choi2017")
    excerpt = mirfeat.load_audio(music / "folk_tavern.opus", duration=6.0)
    samples = converted(excerpt, extractor._units[0], None)[0].round(6)
    given = page.execute_async_script(
        "const [samples, done] = arguments;"
        "const ready = async () => { while (!window.vectorOf)"
        "  await new Promise(then => setTimeout(then, 50)); };"
        "ready().then(() => vectorOf(Float32Array.from(samples))).then("
        "  vector => done(Array.from(vector)), error => done(String(error)));",
        samples.tolist(),
    )
    expected = extractor.extract(Audio(samples, 12_000))
    np.testing.assert_allclose(np.array(given, np.float32), expected, rtol=1e-5, atol=1e-5)
