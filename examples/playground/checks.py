"""What a page may ask for, checked before anything is done."""

import json
import math

import numpy as np

SIDE = 28  # pixels of a digit


class RequestError(Exception):
    """What is wrong with a request, in words for the page, and its HTTP status."""

    def __init__(self, message, status=400):
        super().__init__(message)
        self.status = status


def read_object(body):
    """Return the JSON object in the bytes of a request."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise RequestError(
            f"expected a JSON object, got {len(body)} bytes that are not JSON"
        ) from None
    if not isinstance(content, dict):
        raise RequestError(f"expected a JSON object, got {type(content).__name__}")
    return content


def read_number(content, name, low, high):
    """Return a number of the object, from `low` to `high`."""
    value = content.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise RequestError(f"{name}: expected a number from {low} to {high}, got {value!r}")
    if not low <= value <= high:
        raise RequestError(f"{name}: expected a number from {low} to {high}, got {value}")
    return value


def read_whole(content, name, low, high):
    """Return a whole number of the object, from `low` to `high`."""
    value = read_number(content, name, low, high)
    if value != int(value):
        raise RequestError(f"{name}: expected a whole number, got {value}")
    return int(value)


def read_choice(content, name, choices):
    """Return a text of the object that is one of the choices."""
    value = content.get(name)
    if not isinstance(value, str) or value not in choices:
        raise RequestError(f"{name}: expected one of {', '.join(choices)}, got {value!r}")
    return value


def read_pixels(content):
    """Return the digit of the object, uint8 of shape (28, 28): 0 is the ground, 255 the ink."""
    pixels = content.get("pixels")
    expected = f"pixels: expected {SIDE * SIDE} whole numbers from 0 to 255"
    if not isinstance(pixels, list) or len(pixels) != SIDE * SIDE:
        got = len(pixels) if isinstance(pixels, list) else repr(pixels)
        raise RequestError(f"{expected}, got {got}")
    if not all(type(value) is int and 0 <= value <= 255 for value in pixels):
        raise RequestError(f"{expected}, got other values")
    return np.array(pixels, np.uint8).reshape(SIDE, SIDE)
