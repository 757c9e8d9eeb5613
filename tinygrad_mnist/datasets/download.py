"""Download files, check their SHA-256, and keep them in a cache that is checked when it is read."""

import hashlib
import os
import queue
import stat
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from ..errors import DataError
from .files import File, from_bytes

__all__ = ["Clock", "cache_folder", "fetch", "read_cache", "store"]

_LARGEST = (
    1 << 26
)  # bytes of one file, before and after gzip; the real ones have at most 47 million
_ATTEMPT = 15.0  # seconds without progress that one mirror may take for one file
_RATE = 50_000  # bytes that must arrive to earn one more second
_CHUNK = 1 << 16


class Clock:
    """The time that is left. It grows by one second for every 50,000 bytes that arrive."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def progress(self, count: int) -> None:
        """Count the bytes that have arrived."""
        self._end += count / _RATE

    def left(self) -> float:
        """Return the seconds that are left, at least 0."""
        return max(0.0, self._end - time.monotonic())


def cache_folder() -> Path:
    """Return the folder where downloads are kept: `tinygrad_mnist` in the user's cache folder.

    Some containers have users without a home folder. For them it is in the temporary folder.
    """
    base = os.environ.get("LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME")
    if not base:
        home = os.path.expanduser("~")  # stays "~" for a user without a home
        base = os.path.join(home, ".cache") if home != "~" else tempfile.gettempdir()
    return Path(base) / "tinygrad_mnist"


def fetch(
    name: str, sha256: str, mirrors: Sequence[str], timeout: float, clock: Clock
) -> tuple[bytes, File]:
    """Download one gzipped file from the first mirror whose file has the right SHA-256.

    Parameters
    ----------
    name : str
        The file's name, without `.gz`.
    sha256 : str
        The hash of the decompressed content, because gzip's header may differ between mirrors.
    mirrors : URLs
    timeout : float
        How many seconds a mirror may send nothing.
    clock : Clock
        The time left for the whole download.

    Returns
    -------
    content : bytes
        The bytes as they were received.
    file : File
        The decompressed content, ready to read.

    Raises
    ------
    OSError
        If no mirror has the file. The message gives the reason for each mirror.
    """
    failures = []
    for mirror in mirrors:
        url = f"{mirror}{name}.gz"
        try:
            content = _receive(url, timeout, clock)
            return content, _verify(content, name, sha256)
        except Exception as error:  # sockets, ssl, http.client, gzip: try the next mirror
            failures.append(f"{url}: {type(error).__name__}: {error}")
    raise OSError("; ".join(failures))


def _receive(url: str, timeout: float, clock: Clock) -> bytes:
    """Download in another thread, because a step such as a DNS lookup may hang without limit."""
    clocks = (clock, Clock(_ATTEMPT))
    chunks: queue.SimpleQueue[bytes | Exception] = queue.SimpleQueue()
    given_up = threading.Event()
    threading.Thread(target=_send, args=(url, timeout, chunks, given_up), daemon=True).start()
    content = bytearray()
    try:
        while True:
            chunk = chunks.get(timeout=min(c.left() for c in clocks))
            if isinstance(chunk, Exception):
                raise chunk
            if not chunk:
                return bytes(content)
            content += chunk
            for c in clocks:
                c.progress(len(chunk))
            if len(content) > _LARGEST:
                raise OSError(f"it is larger than {_LARGEST:,} bytes")
    except queue.Empty:
        raise TimeoutError(f"too slow: {len(content):,} bytes came") from None
    finally:
        given_up.set()


def _send(
    url: str,
    timeout: float,
    chunks: "queue.SimpleQueue[bytes | Exception]",
    given_up: threading.Event,
) -> None:
    """Put the chunks that the server sends on the queue, and at the end b"" or the error."""
    import urllib.error
    import urllib.request  # imported here because it loads slower than this whole package

    try:
        with urllib.request.urlopen(url, timeout=timeout) as response:
            expected = response.length  # None if the server does not say
            while chunk := response.read1(_CHUNK):
                if given_up.is_set():
                    return
                chunks.put(chunk)
                expected = expected and expected - len(chunk)
        chunks.put(OSError(f"it breaks off {expected} bytes before its end") if expected else b"")
    except urllib.error.HTTPError as error:
        error.close()  # because the error keeps the connection open
        chunks.put(OSError(f"HTTP status {error.code} {error.reason}"))
    except Exception as error:
        chunks.put(error)


def _verify(content: bytes, name: str, sha256: str) -> File:
    """Return the decompressed content, or raise DataError if its SHA-256 is wrong."""
    with from_bytes(content, name).open() as stream:
        plain = stream.read(_LARGEST)
    if hashlib.sha256(plain).hexdigest() != sha256:
        raise DataError(f"{name}: expected the true file, got one of another SHA-256")
    return from_bytes(plain, name, digits=True)


def read_cache(cache: Path, sha256: dict[str, str]) -> dict[str, File] | None:
    """Return the files in the cache after checking them, or None if a file is missing.

    Raises
    ------
    DataError
        If a file is damaged or has the wrong SHA-256.
    """
    paths = {name: cache / f"{name}.gz" for name in sha256}
    if not all(os.path.isfile(path) for path in paths.values()):  # False where it may not look
        return None
    files = {}
    for name, path in paths.items():
        try:
            with open(path, "rb") as stream:
                content = stream.read(_LARGEST)
            files[name] = _verify(content, str(path), sha256[name])
        except OSError as error:
            raise DataError(f"{path}: expected a file to read: {error}") from error
    return files


def store(path: Path, content: bytes) -> None:
    """Write a file completely or not at all, and never follow a link that somebody else made.

    Raises
    ------
    OSError
        If it cannot be written, or its folder belongs to another user.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _check_owner(path.parent)
    # mkstemp opens a new random name, so it cannot follow a link that already exists.
    handle, temporary = tempfile.mkstemp(prefix=f"{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _check_owner(folder: Path) -> None:
    """Raise OSError if the folder is in a shared place, and another user may have made it."""
    if sys.platform == "win32" or not os.stat(folder.parent).st_mode & stat.S_IWOTH:
        return
    if os.path.islink(folder) or os.stat(folder).st_uid != os.geteuid():
        raise OSError(f"{folder} lies in a shared folder and is a link, or belongs to another user")
