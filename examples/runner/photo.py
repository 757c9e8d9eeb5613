"""Cut a digit out of a photo, a scan or a drawing, in the format of MNIST's digits.

`read_photo` opens the file and rotates it as the camera says. Then `cut_digit` works in four steps:

1. `find_contrast` removes shadows: it finds how much each pixel differs from the paper around it.
2. `find_ink` decides which pixels are ink, and removes lines, frames, table edges and specks.
3. `thicken` makes thin strokes as thick as MNIST's, because the strokes of a pen are thinner.
4. `fit_digit` scales the digit to 20 pixels and centres it by its mass, as in MNIST.
"""

import numpy as np
from PIL import Image, ImageOps

from tinygrad_mnist import DataError

SIDE = 400  # every picture is resized so that its longer side has this many pixels
LARGEST_SCALE = 5  # a small picture is enlarged at most by this factor
LEAST_CONTRAST = 0.12  # the least contrast of ink; anything paler is the paper's texture
STROKE = 2.0  # the median thickness of strokes in MNIST, in pixels
LEAST_SIZE = 0.05  # the least size of a digit as a share of the picture; smaller parts are specks


class SeveralDigitsError(DataError):
    """There is more than one digit in a picture."""

    def __init__(self, message, count):
        super().__init__(message)
        self.count = count


def read_photo(path):
    """Return the digit in an image file, uint8 of shape (28, 28), light ink on a dark background.

    Raises
    ------
    DataError
        If the file is not an image, or does not show exactly one digit.
    """
    try:
        with Image.open(path) as picture:
            picture.draft("L", (2 * SIDE, 2 * SIDE))  # decode a large JPEG at a smaller scale
            grey = as_grey(ImageOps.exif_transpose(picture))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: expected an image file: {error}") from error
    try:
        return cut_digit(grey)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def as_grey(picture):
    """Return the grey values (H, W) of a picture, float32 from 0 (black) to 1 (white)."""
    if picture.mode.startswith(("I", "F")):  # a scan of 16 bits or more
        deep = np.asarray(picture, np.float32)
        deep = deep - min(deep.min(), 0)
        return deep / max(deep.max(), 1)
    colours = np.asarray(picture.convert("RGBA"), np.float32) / 255
    grey = colours[..., :3] @ np.float32([0.299, 0.587, 0.114])
    alpha = colours[..., 3]
    opaque = grey[alpha > 0.9]
    if opaque.size == grey.size:
        return grey
    if opaque.size == 0 or np.ptp(np.percentile(opaque, [1, 99])) < 0.25:
        return 1 - alpha  # ink of one colour on a transparent ground: only opacity matters
    return alpha * grey + (1 - alpha) * np.median(opaque)


def cut_digit(grey):
    """Return the digit in a picture's grey values (H, W), uint8 of shape (28, 28).

    Raises
    ------
    DataError
        If there is not a digit in the picture.
    SeveralDigitsError
        If there is more than one.
    """
    size = f"{grey.shape[1]} x {grey.shape[0]} pixels"
    inside = trim_frame(grey)
    scale = min(SIDE / max(inside.shape), LARGEST_SCALE)
    light = soften(resize(inside, scale))
    contrast = find_contrast(light)
    ink = find_ink(contrast, light)
    if not ink.any():
        raise DataError(f"expected a digit, got an empty image of {size}")
    count = count_digits(ink)
    if count > 1:
        message = f"expected one digit, got {count} digits in an image of {size}"
        raise SeveralDigitsError(f"{message}; give each an image of its own", count)
    level = np.percentile(contrast[ink], 75)
    cover = np.clip(contrast / level, 0, 1) * spread(ink, 2)
    return fit_digit(thicken(cover, ink))


def trim_frame(grey):
    """Return a picture without the uniform grey frame around it, if there is one."""
    while min(grey.shape) > 10:
        rim = find_rim(grey)
        if np.ptp(rim) > 0.1 or abs(rim.mean() - np.median(grey)) < 0.1:
            break
        grey = grey[1:-1, 1:-1]
    return grey


def find_rim(array):
    """Return the outermost values of an array (H, W)."""
    return np.concatenate([array[0], array[-1], array[1:-1, 0], array[1:-1, -1]])


def resize(array, scale, resampling=Image.Resampling.BICUBIC):
    """Return an array (H, W) at another scale."""
    size = [max(round(n * scale), 1) for n in array.shape[::-1]]
    return np.asarray(Image.fromarray(array.astype(np.float32)).resize(size, resampling))


# ---- 1: the light


def soften(grey):
    """Return grey values (H, W) above 0 with less noise, so that dark noise has little effect."""
    return blur(np.clip(grey, 0, 1), 1) + 0.03


def find_contrast(light):
    """Return how much each pixel differs from the paper around it: 0 for paper, more for ink.

    The paper is the brightest grey nearby. (If the ink is lighter than the background, such as
    chalk, the background is the darkest grey.) Dividing by it removes shadows and gradients,
    because paper and ink each reflect a fixed share of the light.
    """
    reach = round(0.17 * max(light.shape))
    if is_ink_light(light):
        return light / spread(spread(light, -reach), reach) - 1
    return 1 - light / spread(spread(light, reach), -reach)


def blur(array, reach):
    """Return the mean of the square around each pixel, up to `reach` pixels away."""
    size = 2 * reach + 1
    for _ in range(2):  # along the columns, then along the rows
        sums = np.pad(array.T, ((reach + 1, reach), (0, 0)), mode="edge").cumsum(axis=0)
        array = (sums[size:] - sums[:-size]) / size
    return array


def spread(array, reach):
    """Return the largest value in the square around each pixel, or the least if `reach` < 0.

    For a mask this means to grow it by `reach`, or to shrink it.
    """
    return spread_rows(spread_rows(array, reach).T, reach).T


def spread_rows(array, reach):
    """Return the largest value within `reach` rows of each pixel, or the least if `reach` < 0."""
    choose = np.maximum if reach > 0 else np.minimum
    size, seen = 2 * abs(reach) + 1, 1
    array = np.pad(array, ((abs(reach), abs(reach)), (0, 0)), mode="edge")
    while seen < size:  # each pass doubles the number of rows that count
        step = min(seen, size - seen)
        array = choose(array[:-step], array[step:])
        seen += step
    return array


def is_ink_light(light):
    """Return whether the ink is lighter than its surroundings.

    Strong differences near the middle count most, because the edge of a table is at the border.
    """
    difference = np.log(light / find_ground(light))
    rows, columns = (np.hanning(n + 2)[1:-1] for n in light.shape)
    return rows @ (difference * np.abs(difference)) @ columns > 0


def find_ground(light):
    """Return the median of a large square around each pixel: the background, as ink is rare."""
    coarse = resize(light, 24 / max(light.shape), Image.Resampling.BOX)
    reach = [n // 3 for n in coarse.shape]
    padded = np.pad(coarse, [(r, r) for r in reach], mode="symmetric")
    windows = np.lib.stride_tricks.sliding_window_view(padded, [2 * r + 1 for r in reach])
    median = Image.fromarray(np.median(windows, axis=(2, 3)))
    return np.asarray(median.resize(light.shape[::-1], Image.Resampling.BILINEAR))


# ---- 2: the ink


def find_ink(contrast, light):
    """Return a mask of the digits' ink. It is empty if there is no digit.

    If Otsu's threshold finds only lines, table edges and specks, these are removed, and the search
    is repeated for paler ink.
    """
    edges = find_edges(contrast)
    left = np.ones(contrast.shape, bool)
    for _ in range(4):
        counted = left & edges if (left & edges).any() else left
        ink = left & (contrast > find_threshold(contrast[counted]))
        digits = drop_clutter(ink)
        strong = digits.any() and contrast[digits].mean() > LEAST_CONTRAST
        if strong and not is_solid(digits) and has_edges(digits, contrast, light):
            return digits
        left &= ~spread(ink, 5)
    return np.zeros_like(left)


def find_edges(contrast):
    """Return a mask of the pixels near an edge, because about half of them are ink."""
    steepness = spread(contrast, 2) - spread(contrast, -2)
    return steepness > np.clip(3 * np.median(steepness), LEAST_CONTRAST / 2, 0.3)


def find_threshold(values):
    """Return Otsu's threshold, which maximizes the variance between the two classes."""
    counts, edges = np.histogram(values, 128)
    sums = np.cumsum(counts * (edges[1:] + edges[:-1]) / 2)
    below = np.cumsum(counts)[:-1]
    above = counts.sum() - below
    means = sums[:-1] / np.maximum(below, 1), (sums[-1] - sums[:-1]) / np.maximum(above, 1)
    return edges[1:-1][np.argmax(below * above * (means[1] - means[0]) ** 2)]


def is_solid(ink):
    """Return whether a large square fits into the ink, which means that the ink is a shadow."""
    return spread(np.pad(ink, 1), -round(0.32 * find_size(ink))).any()


def has_edges(ink, contrast, light):
    """Return whether the light changes along most of the ink's outline, as it must around ink.

    Near a table, a part of the paper may be taken for ink, although it does not end at an edge.
    """
    share = np.median(contrast[ink])  # how much darker ink is than the background
    if np.median(light[ink]) > np.median(light):
        share /= 1 + share  # how much darker the background is than the ink
    reach = max(round(0.03 * find_size(ink)), 3)
    steps = 1 - spread(light, -reach) / spread(light, reach)
    outline = ink & ~spread(ink, -1)
    return np.mean(steps[outline] > 0.35 * share) > 0.9


def find_size(ink):
    """Return the height or the width of the ink, whichever is larger."""
    return max(np.ptp(np.flatnonzero(ink.any(axis=axis))) + 1 for axis in (0, 1))


def drop_clutter(ink):
    """Return the ink without lines, frames, table edges and specks."""
    ink = drop_lines(drop_lines(ink).T).T
    parts = Parts(ink)
    digits = find_digits(parts)
    if not digits.any():
        return np.zeros_like(ink)
    main = np.argmax(np.where(digits, parts.area, 0))
    near = np.maximum(*parts.find_gaps(main)) < 0.25 * parts.size[main]
    fragments = near & (parts.area > 0.02 * parts.area[main]) & (parts.size <= parts.size[main])
    fragments &= parts.contact <= parts.contact[main]  # parts at the border are other objects
    return parts.select(fragments | (digits & (parts.height > 0.45 * parts.height[main])))


class Parts:
    """The connected parts of a mask (H, W), with their areas and the boxes around them."""

    def __init__(self, mask):
        self.numbers = number_parts(mask)  # the part of each pixel, or -1 outside
        self.shape, self.count = mask.shape, self.numbers.max() + 1
        self.area = np.bincount(self.numbers[mask], minlength=self.count)
        order = np.argsort(self.numbers[mask], kind="stable")
        starts = np.cumsum(self.area) - self.area
        rows, columns = (places[order] for places in np.nonzero(mask))
        self.top, self.bottom = (f.reduceat(rows, starts) for f in (np.minimum, np.maximum))
        self.left, self.right = (f.reduceat(columns, starts) for f in (np.minimum, np.maximum))
        self.height, self.width = self.bottom - self.top + 1, self.right - self.left + 1
        self.size = np.maximum(self.height, self.width)
        rim = find_rim(self.numbers)
        self.contact = np.bincount(rim[rim >= 0], minlength=self.count)  # pixels at the border

    def select(self, chosen):
        """Return a mask of the chosen parts."""
        return np.append(chosen, False)[self.numbers]

    def find_gaps(self, i):
        """Return the gaps in rows and in columns from part i to each part, negative for overlap."""
        down = np.maximum(self.top - self.bottom[i], self.top[i] - self.bottom)
        across = np.maximum(self.left - self.right[i], self.left[i] - self.right)
        return down, across

    def find_inside(self, i):
        """Return which parts are inside the box of part i."""
        return (
            (self.top > self.top[i])
            & (self.bottom < self.bottom[i])
            & (self.left > self.left[i])
            & (self.right < self.right[i])
        )


def number_parts(mask):
    """Return the number of the connected part of each pixel, counted from 0, or -1 outside."""
    place = np.full(mask.shape, -1)
    place[mask] = np.arange(mask.sum())
    neighbours = (
        (place[:, :-1], place[:, 1:]),
        (place[:-1], place[1:]),
        (place[:-1, :-1], place[1:, 1:]),
        (place[:-1, 1:], place[1:, :-1]),
    )
    joined = [(a[both], b[both]) for a, b in neighbours for both in [(a >= 0) & (b >= 0)]]
    pairs = np.concatenate(joined, axis=1)
    first = np.arange(mask.sum())  # the first pixel known to be in the same part, for each pixel
    while (first[pairs[0]] != first[pairs[1]]).any():
        a, b = first[pairs]
        np.minimum.at(first, np.maximum(a, b), np.minimum(a, b))
        while (first[first] != first).any():
            first = first[first]
    numbers = np.full(mask.shape, -1)
    numbers[mask] = np.unique(first, return_inverse=True)[1]
    return numbers


def find_digits(parts):
    """Return which parts may be digits: large, not around another large part, not the border."""
    large = parts.size >= LEAST_SIZE * max(parts.shape)
    digits = large.copy()
    for i in np.flatnonzero(large):  # a part around another one is a frame
        inside = large & parts.find_inside(i) & (parts.height > 0.25 * parts.height[i])
        digits[i] = not inside.any()

    # Shadows and tables are at the border, so a digit there must be large, and not a strip.
    inner = digits & (parts.contact == 0)
    wide = parts.width > 0.2 * parts.shape[1]
    stroke = (parts.contact < 0.3 * parts.height) & (parts.height < parts.shape[0])
    outer = digits & (parts.height > 0.5 * parts.shape[0]) & (wide | stroke)
    outer &= (parts.contact > 0) & (parts.contact < 0.65 * sum(parts.shape))
    highest_inner, highest_outer = ((parts.height * w).max(initial=0) for w in (inner, outer))
    return inner if highest_inner > 0.3 * highest_outer else inner | outer


def drop_lines(ink):
    """Return the ink without thin lines that cross the picture from left to right.

    Where a stroke crosses a line, the ink is higher than the line. It is therefore kept.
    """
    reach = max(round(0.0075 * max(ink.shape)), 1)
    thin = ink & ~spread_rows(spread_rows(ink, -reach), reach)
    parts = Parts(thin)
    rows, columns = np.nonzero(thin)
    numbers = parts.numbers[thin]
    flat = (parts.width > 0.1 * ink.shape[1]) & (parts.height < 0.15 * parts.width + 2 * reach)
    left = ink.copy()
    for i in np.flatnonzero(flat):
        line = numbers == i
        for _ in range(2):  # first along the part, then along all ink in its direction
            slope, start = np.polyfit(columns[line], rows[line], 1)
            line = np.abs(rows - start - slope * columns) <= reach + 1
        if find_reach(ink, slope, start, reach + 1) > 0.75:
            left[rows[line], columns[line]] = False
    return left


def find_reach(ink, slope, start, width):
    """Return the share of columns that have ink within `width` of a straight line."""
    rows, columns = np.nonzero(ink)
    near = np.abs(rows - start - slope * columns) <= width
    return len(np.unique(columns[near])) / ink.shape[1]


def count_digits(ink):
    """Count the digits in the ink: separate parts about as high as the highest part."""
    height = np.ptp(np.flatnonzero(ink.any(axis=1))) + 1
    parts = Parts(spread(ink, max(round(0.03 * height), 1)))  # to close small gaps
    digits = []
    for i in np.flatnonzero(parts.height > 0.5 * parts.height.max()):
        if find_apart(parts, i)[digits].all():
            digits.append(i)
    return len(digits)


def find_apart(parts, i):
    """Return which parts are a different digit than part i, and not a piece of the same digit.

    Two digits side by side are wider than one digit, or each is as high as both together. This is
    not true for the two strokes of an open 4 or the pieces of a broken 5. Two digits one above the
    other have a wide gap.
    """
    down, across = parts.find_gaps(i)
    height = np.maximum(parts.bottom, parts.bottom[i]) - np.minimum(parts.top, parts.top[i]) + 1
    width = np.maximum(parts.right, parts.right[i]) - np.minimum(parts.left, parts.left[i]) + 1
    as_high = np.minimum(parts.height, parts.height[i]) > 0.7 * height
    beside = (across > 0) & (as_high | (width > 1.15 * height))
    return beside | (down > 0.2 * parts.height.max())


# ---- 3 and 4: the digit


def thicken(cover, ink):
    """Return the ink cover of each pixel (H, W), with strokes at least as thick as in MNIST."""
    outline = ink & ~spread(ink, -1)
    thickness = 2 * ink.sum() / max(outline.sum(), 1)  # a long stroke has two sides
    reach = round((STROKE / 20 * find_size(ink) - thickness) / 2)
    return spread(cover, reach) if reach > 0 else cover


def fit_digit(cover):
    """Return ink (H, W) from 0 to 1 in MNIST's format: 20 pixels high or wide, centred by mass.

    In MNIST the centre of mass is within half a pixel of row and column 14. We use 13.9, because
    the centre of a symmetric digit may be exactly between two pixels, which would be a tie.
    """
    rows, columns = (np.flatnonzero(cover.max(axis=axis) > 0.25) for axis in (1, 0))
    box = cover[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    small = np.clip(resize(box, 20 / max(box.shape), Image.Resampling.LANCZOS), 0, 1)
    height, width = small.shape
    row, column = (small.sum(axis=1 - k) @ np.arange(small.shape[k]) / small.sum() for k in (0, 1))
    top = int(np.clip(round(13.9 - row), 0, 28 - height))
    left = int(np.clip(round(13.9 - column), 0, 28 - width))
    digit = np.zeros((28, 28), np.uint8)
    digit[top : top + height, left : left + width] = np.round(255 * small)
    return digit
