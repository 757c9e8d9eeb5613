"""Watch a network learn, look inside it, and follow its gradients: python examples/playground.py.

It serves one page to the browser of this machine. The folder `playground` beside this file holds
what it is made of.
"""

import argparse
import errno
import signal
import sys
import threading
import webbrowser
from pathlib import Path

# Of a folder and a file of one name, Python imports the folder.
from playground.checks import RequestError
from playground.export import train_small, write_page
from playground.saved import open_run
from playground.server import PAGE, Playground, load_digits

from tinygrad_mnist import CheckpointError, DataError

WARNING = """\
warning: --host opens this page to the network. Whoever has the address with its token can use it,
and this machine's time. The connection is not encrypted. Ctrl-C ends it."""


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "model", type=Path, nargs="?", help="a saved model to look inside: a run's folder"
    )
    parser.add_argument("--data", help="where MNIST lies, if it is not in a usual place")
    parser.add_argument(
        "--port", type=int, default=8000, help="where to listen (default: 8000; 0: any free one)"
    )
    parser.add_argument("--no-browser", action="store_true", help="only print the address")
    parser.add_argument(
        "--host", help="listen to the local network, too: an address of this machine, or 0.0.0.0"
    )
    parser.add_argument(
        "--export",
        type=Path,
        metavar="FILE",
        help="write the page as one file that needs no Python, with the saved model or a small "
        "new one in it",
    )
    options = parser.parse_args(arguments)
    if not 0 <= options.port <= 65535:
        parser.error(f"--port: expected a number from 0 to 65535, got {options.port}")
    return parser, options


def export(options):
    """Write the page with a model in it."""
    data = load_digits(options.data)
    page = PAGE.read_text(encoding="utf-8")
    if options.model is None:
        model, accuracy = train_small(data)
        about = f"A small network, right about {accuracy:.1%} of the digits that it had not seen."
        text = write_page(page, model, data, about=about)
    else:
        reader, settings = open_run(options.model)
        text = write_page(
            page,
            reader.model,
            data,
            about=f"The model in {options.model}.",
            pixels=settings["pixels"],
            outputs="share" if settings["loss"] == "mse" else "softmax",
        )
    options.export.write_text(text, encoding="utf-8")
    print(f"{options.export}: {len(text.encode()):,} bytes; open it in a browser")


def serve(options, parser):
    """Serve the page until Ctrl-C."""
    saved = None if options.model is None else open_run(options.model)[0]
    try:
        server = Playground(
            options.host, options.port, mnist=options.data, saved=saved, name=str(options.model)
        )
    except OSError as error:
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            advice = f"try --port {options.port + 1} or 0"
            parser.error(
                f"--port: expected a free one, got {options.port}: {error.strerror}; {advice}"
            )
        parser.error(f"--host: expected an address of this machine, got {options.host}: {error}")
    # also where a shell started this in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with server:
        try:
            if options.host:
                print(WARNING, file=sys.stderr)
            print(f"playground at {server.url} (Ctrl-C ends it)", flush=True)
            if not options.no_browser:
                # a thread, because a text browser comes back only when it is closed
                threading.Thread(target=webbrowser.open, args=(server.url,), daemon=True).start()
            server.serve_forever()
        except KeyboardInterrupt:
            print()


def main(arguments=None):
    parser, options = parse(arguments)
    if options.export:
        export(options)
    else:
        serve(options, parser)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (DataError, CheckpointError, RequestError, OSError) as problem:
        sys.exit(f"{type(problem).__name__}: {problem}")
