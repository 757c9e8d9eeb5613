"""A run's folder, in which every file is written completely or not at all."""

import io
import json
import os

# The files of runs and predictions. A new run removes only these files from its folder.
FILES = (
    "settings.json",
    "checkpoint.safetensors",
    "model.safetensors",
    "history.json",
    "metrics.json",
    "submission.csv",
    "predictions.png",
    "learning_curves.png",
    "confusion.png",
    "mistakes.png",
    "weights.png",
    "predicted.json",
    "predicted.png",
)


def start_clean(folder):
    """Make the folder of a new run, and remove the files of an old run from it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        (folder / name).unlink(missing_ok=True)


def write_whole(path, content):
    """Write to a temporary file and rename it, so that the file is always complete, old or new."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path, content):
    """Write strict JSON, which does not allow nan and infinity."""
    write_whole(path, (json.dumps(content, indent=1, allow_nan=False) + "\n").encode())


def write_figure(path, figure):
    """Write a matplotlib figure as a PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    write_whole(path, buffer.getvalue())


def write_submission(path, digits):
    """Write predicted digits in the layout of Kaggle's Digit Recognizer."""
    lines = [f"{i},{digit}\n" for i, digit in enumerate(digits, 1)]
    write_whole(path, ("ImageId,Label\n" + "".join(lines)).encode())
