"""Watch a network learn, look inside it, and follow its gradients: python examples/playground.py.

It serves one page to the browser on this machine. Its parts are in the folder `playground_page`.
"""

import argparse
import sys
from pathlib import Path

from playground_page.export import train_small, write_page
from playground_page.saved import open_run
from playground_page.server import PAGE, Playground, load_digits
from runner.web import RequestError, add_flags, refuse_port, serve_until_stopped

from tinygrad_mnist import CheckpointError, DataError

WARNING = """\
warning: --host opens this page to the network. Anyone who has the address with its token can use
the page and this machine's processor. The connection is not encrypted. Ctrl-C ends it."""


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "model", type=Path, nargs="?", help="a saved model to look inside: a run's folder"
    )
    parser.add_argument("--data", help="the path of MNIST, if it is not in one of the usual places")
    add_flags(parser)
    parser.add_argument(
        "--host", help="also serve the local network: an address of this machine, or 0.0.0.0"
    )
    parser.add_argument(
        "--export",
        type=Path,
        metavar="FILE",
        help="write the page as one file that needs no Python, with the saved model or a small "
        "new one in it",
    )
    return parser, parser.parse_args(arguments)


def export(options):
    """Write the page as a file that contains a model."""
    data = load_digits(options.data)
    page = PAGE.read_text(encoding="utf-8")
    if options.model is None:
        model, accuracy = train_small(data)
        about = f"A small network, which reads {accuracy:.1%} of the held-out digits correctly."
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
            names=reader.names,
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
        refuse_port(parser, options.port, error)
        parser.error(f"--host: expected an address of this machine, got {options.host}: {error}")
    if options.host:
        print(WARNING, file=sys.stderr)
    serve_until_stopped(server, "playground", opens_browser=not options.no_browser)


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
