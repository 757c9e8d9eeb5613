"""Pictures of digits as people make them: real digits on paper, boards and screens, seeded."""

import numpy as np
from PIL import Image, ImageFilter

WIDTH, HEIGHT = 300, 400


def draw(image, width=WIDTH, height=HEIGHT, size=170, place=(0.5, 0.5)):
    """Return how much ink covers each pixel of a sheet, from 0 to 1: a digit (28, 28) enlarged."""
    large = Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC)
    sheet = Image.new("L", (width, height))
    sheet.paste(large, [round(p * (n - size)) for p, n in zip(place, sheet.size, strict=True)])
    return np.asarray(sheet, np.float32) / 255


def on(cover, ink, paper):
    """Return the greys of ink on paper."""
    return paper + cover * (ink - paper)


def as_picture(grey):
    return Image.fromarray(np.clip(np.round(grey), 0, 255).astype(np.uint8))


def make_gradient(shape, share, rng):
    """Return a light that falls off by a share from one side to the other, in a random direction."""
    rows, columns = np.mgrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
    angle = rng.uniform(0, 2 * np.pi)
    slope = rows * np.sin(angle) + columns * np.cos(angle)
    return 1 - share * (slope - slope.min()) / np.ptp(slope)


def split_plane(shape, rng, near=0.15):
    """Return the signed distance in pixels from a random line that passes near the middle."""
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]]
    angle = rng.uniform(0, 2 * np.pi)
    centre = rng.uniform(0.5 - near, 0.5 + near, 2) * shape
    return (rows - centre[0]) * np.sin(angle) + (columns - centre[1]) * np.cos(angle)


def add_noise(grey, sigma, rng):
    return grey + rng.normal(0, sigma, grey.shape)


def draw_line(cover, y, tilt, thick):
    """Return a line across the sheet as cover, at the height y of its middle, turned by `tilt`."""
    rows, columns = np.mgrid[0 : cover.shape[0], 0 : cover.shape[1]]
    distance = np.abs(rows - y - (columns - cover.shape[1] / 2) * np.tan(tilt))
    return np.clip(thick / 2 + 0.5 - distance, 0, 1)


def place_near_middle(rng):
    return rng.uniform(0.3, 0.7, 2)


# How a picture is stored for each of EXIF's orientations.
STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_270,
}  # fmt: skip

# Each kind: a function of the digit (28, 28) and a generator that returns a Pillow image, and the
# options it is saved with.
KINDS = {}


def kind(ending="png"):
    def add(make):
        KINDS[make.__name__] = (ending, make)
        return make

    return add


@kind()
def clean(image, rng):
    return as_picture(on(draw(image, place=place_near_middle(rng)), 25, 250)), {}


@kind()
def white_on_black(image, rng):
    return as_picture(on(draw(image, place=place_near_middle(rng)), 255, 0)), {}


@kind()
def as_mnist_has_it(image, rng):
    return Image.fromarray(image), {}


@kind()
def as_mnist_in_black_on_white(image, rng):
    return Image.fromarray(255 - image), {}


@kind("jpg")
def exif(image, rng):
    turned = int(rng.integers(2, 9))
    picture, _ = clean(image, rng)
    about = Image.Exif()
    about[0x0112] = turned
    return picture.transpose(STORED[turned]), {"exif": about}


@kind("jpg")
def dark_paper(image, rng):
    return as_picture(on(draw(image, place=place_near_middle(rng)), 20, rng.uniform(70, 110))), {}


@kind("jpg")
def gradient_and_noise(image, rng):
    grey = on(draw(image, place=place_near_middle(rng)), 40, 230)
    return as_picture(add_noise(grey * make_gradient(grey.shape, 0.3, rng), 8, rng)), {}


@kind("jpg")
def strong_gradient(image, rng):
    grey = on(draw(image, place=place_near_middle(rng)), 40, 240)
    return as_picture(add_noise(grey * make_gradient(grey.shape, 0.7, rng), 4, rng)), {}


@kind("jpg")
def hard_shadow(image, rng):
    grey = on(draw(image, place=place_near_middle(rng)), 40, 235)
    light = np.where(split_plane(grey.shape, rng) > 0, 1.0, rng.uniform(0.4, 0.7))
    return as_picture(add_noise(grey * light, 3, rng)), {}


@kind("jpg")
def soft_shadow(image, rng):
    grey = on(draw(image, place=place_near_middle(rng)), 40, 235)
    fall = np.clip(split_plane(grey.shape, rng) / 60 + 0.5, 0, 1)
    return as_picture(add_noise(grey * (0.45 + 0.55 * fall), 3, rng)), {}


def band(shape, rng, share):
    """Return a mask of the pixels beyond a slightly turned line near a random side of the sheet."""
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]]
    side, slope = rng.integers(4), rng.uniform(-0.06, 0.06)
    along, across, length = (columns, rows, shape[0]) if side % 2 else (rows, columns, shape[1])
    across = across if side < 2 else length - across
    return across < share * length + slope * along


@kind("jpg")
def table_edge(image, rng):
    grey = on(draw(image, place=place_near_middle(rng)), 30, 235)
    grey = np.where(band(grey.shape, rng, rng.uniform(0.05, 0.14)), rng.uniform(25, 90), grey)
    return as_picture(add_noise(grey, 3, rng)), {}


@kind("jpg")
def table_corner(image, rng):
    grey = on(draw(image, place=place_near_middle(rng)), 30, 235)
    for _ in range(2):
        grey = np.where(band(grey.shape, rng, rng.uniform(0.05, 0.14)), 60, grey)
    return as_picture(add_noise(grey, 3, rng)), {}


@kind()
def ruled_line(image, rng):
    cover = draw(image, place=place_near_middle(rng))
    line = draw_line(cover, rng.uniform(0.3, 0.7) * HEIGHT, rng.uniform(-0.02, 0.02), 2)
    grey = on(cover, 30, 245)
    return as_picture(np.minimum(grey, on(line, rng.uniform(60, 170), 245))), {}


@kind("jpg")
def ruled_sheet(image, rng):
    cover = draw(image, place=place_near_middle(rng))
    grey, tilt = on(cover, 30, 240), rng.uniform(-0.03, 0.03)
    for y in np.arange(rng.uniform(0, 60), HEIGHT, 60):
        grey = np.minimum(grey, on(draw_line(cover, y, tilt, 2), 130, 240))
    return as_picture(add_noise(grey, 3, rng)), {}


@kind("jpg")
def squared_sheet(image, rng):
    cover = draw(image, place=place_near_middle(rng))
    grey = on(cover, 30, 240)
    for y in np.arange(rng.uniform(0, 30), HEIGHT, 30):
        grey = np.minimum(grey, on(draw_line(cover, y, 0, 1), 170, 240))
    for x in np.arange(rng.uniform(0, 30), WIDTH, 30):
        grey = np.minimum(grey, on(draw_line(cover.T, x, 0, 1).T, 170, 240))
    return as_picture(add_noise(grey, 3, rng)), {}


def add_specks(grey, count, radius, rng):
    rows, columns = np.mgrid[0 : grey.shape[0], 0 : grey.shape[1]]
    for _ in range(count):
        y, x = rng.uniform(0.05, 0.95, 2) * grey.shape
        grey = np.where((rows - y) ** 2 + (columns - x) ** 2 <= radius**2, 40, grey)
    return grey


@kind()
def speck(image, rng):
    grey = on(draw(image, place=place_near_middle(rng)), 30, 245)
    return as_picture(add_specks(grey, 1, 3, rng)), {}


@kind()
def many_specks(image, rng):
    grey = on(draw(image, place=place_near_middle(rng)), 30, 245)
    return as_picture(add_specks(grey, 25, 1.6, rng)), {}


@kind()
def frame(image, rng):
    grey = on(draw(image, place=place_near_middle(rng)), 30, 250)
    grey[[0, -1]] = grey[:, [0, -1]] = 0
    return as_picture(grey), {}


@kind()
def frame_inside(image, rng):
    grey = on(draw(image, place=place_near_middle(rng)), 30, 250)
    a = int(rng.integers(3, 25))
    grey[[a, -1 - a], a:-a] = 40
    grey[a:-a, [a, -1 - a]] = 40
    return as_picture(grey), {}


@kind()
def small_frame(image, rng):
    grey = np.asarray(255 - image, float)
    grey[[0, -1]] = grey[:, [0, -1]] = 0
    return as_picture(grey), {}


@kind()
def white_on_transparency(image, rng):
    alpha = as_picture(255 * draw(image, place=place_near_middle(rng)))
    picture = Image.new("RGBA", alpha.size, (255, 255, 255, 255))
    picture.putalpha(alpha)
    return picture, {}


@kind()
def black_on_transparency(image, rng):
    alpha = as_picture(255 * draw(image, place=place_near_middle(rng)))
    picture = Image.new("RGBA", alpha.size, (0, 0, 0, 255))
    picture.putalpha(alpha)
    return picture, {}


@kind()
def scan_of_16_bits(image, rng):
    grey = add_noise(on(draw(image, place=place_near_middle(rng)), 9000, 60000), 400, rng)
    return Image.fromarray(np.clip(grey, 0, 65535).astype(np.uint16)), {}


@kind("tif")
def tiff_of_12_bits(image, rng):
    grey = add_noise(on(draw(image, place=place_near_middle(rng)), 400, 3700), 30, rng)
    return Image.fromarray(np.clip(grey, 0, 4095).astype(np.uint16)), {}


@kind("jpg")
def chalk_on_grey(image, rng):
    cover = draw(image, place=place_near_middle(rng))
    chalk = cover * np.clip(rng.normal(0.9, 0.15, cover.shape), 0.3, 1)
    return as_picture(add_noise(on(chalk, 215, rng.uniform(90, 130)), 5, rng)), {}


@kind("jpg")
def chalk_in_uneven_light(image, rng):
    grey = on(draw(image, place=place_near_middle(rng)), 210, 110)
    return as_picture(add_noise(grey * make_gradient(grey.shape, 0.4, rng), 5, rng)), {}


@kind("jpg")
def pencil(image, rng):
    grey = add_noise(on(draw(image, place=place_near_middle(rng)), 165, 235), 5, rng)
    return as_picture(grey * make_gradient(grey.shape, 0.2, rng)), {}


@kind("jpg")
def thin_pen(image, rng):
    cover = np.clip(3 * draw(image, place=place_near_middle(rng)) - 1.0, 0, 1)
    picture = as_picture(255 * cover)
    thin = picture.filter(ImageFilter.MinFilter(5))
    return as_picture(on(np.asarray(thin) / 255, 40, 240)), {}


@kind("jpg")
def out_of_focus(image, rng):
    picture = as_picture(on(draw(image, place=place_near_middle(rng)), 30, 230))
    return picture.filter(ImageFilter.GaussianBlur(6)), {}


@kind("jpg")
def small_on_the_sheet(image, rng):
    cover = draw(image, 900, 1200, 150, rng.uniform(0.1, 0.9, 2))
    return as_picture(add_noise(on(cover, 40, 230), 4, rng)), {}


@kind()
def fills_the_sheet(image, rng):
    return as_picture(on(draw(image, 300, 300, 380, (0.5, 0.5)), 25, 250)), {}


@kind()
def cut_to_the_ink(image, rng):
    cover = draw(image)
    rows, columns = (np.flatnonzero(cover.max(axis=axis) > 0.3) for axis in (1, 0))
    return as_picture(on(cover[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], 25, 250)), {}


@kind("jpg")
def blue_on_yellow(image, rng):
    cover = draw(image, place=place_near_middle(rng))[..., np.newaxis]
    colours = on(cover, np.array([50.0, 70, 190]), np.array([240.0, 225, 150]))
    return as_picture(add_noise(colours, 4, rng)), {}


@kind("jpg")
def phone(image, rng):
    """Return everything at once, at the size of a phone's photo: light, noise, a table, turned."""
    cover = draw(image, 750, 1000, 330, place_near_middle(rng))
    grey = on(cover, 45, 215) * make_gradient(cover.shape, 0.4, rng)
    fall = np.clip(split_plane(grey.shape, rng, 0.4) / 50 + 0.5, 0, 1)
    grey = np.where(band(grey.shape, rng, 0.08), 50, grey * (0.65 + 0.35 * fall))
    about = Image.Exif()
    about[0x0112] = 6
    picture = as_picture(add_noise(grey, 9, rng)).filter(ImageFilter.GaussianBlur(1.2))
    return picture.transpose(Image.Transpose.ROTATE_90), {"exif": about, "quality": 80}


@kind("jpg")
def board_with_frame(image, rng):
    grey = on(draw(image, place=place_near_middle(rng)), 215, 110)
    grey = np.where(band(grey.shape, rng, rng.uniform(0.05, 0.14)), 40, grey)
    return as_picture(add_noise(grey, 3, rng)), {}


@kind("jpg")
def board_on_light_wall(image, rng):
    grey = on(draw(image, place=place_near_middle(rng)), 205, 80)
    grey = np.where(band(grey.shape, rng, rng.uniform(0.05, 0.14)), 190, grey)
    return as_picture(add_noise(grey, 3, rng)), {}


@kind("jpg")
def paper_on_light_table(image, rng):
    grey = on(draw(image, place=place_near_middle(rng)), 30, 170)
    grey = np.where(band(grey.shape, rng, rng.uniform(0.05, 0.14)), 245, grey)
    return as_picture(add_noise(grey, 3, rng)), {}


# Neighbours of these kinds: what a camera, a program or a hand does to a picture besides.


@kind("jpg")
def coarse_jpeg(image, rng):
    grey = on(draw(image, place=place_near_middle(rng)), 40, 225)
    return as_picture(add_noise(grey, 4, rng)), {"quality": 12}


@kind("jpg")
def slightly_turned(image, rng):
    picture = as_picture(on(draw(image, place=place_near_middle(rng)), 30, 235))
    angle = rng.uniform(-8, 8)
    return picture.rotate(angle, Image.Resampling.BICUBIC, fillcolor=235), {}


@kind("jpg")
def seen_from_the_side(image, rng):
    """Return the sheet in perspective, on a dark table that shows at the corners."""
    picture = as_picture(on(draw(image, place=place_near_middle(rng)), 30, 235))
    away = rng.uniform(-0.0008, 0.0008, 2)  # how fast the sheet recedes along x and along y
    middle, scale = np.array(picture.size) / 2, 1.15
    near = 1 - away @ middle
    along_x = (scale + middle[0] * away[0], middle[0] * away[1], (near - scale) * middle[0])
    along_y = (middle[1] * away[0], scale + middle[1] * away[1], (near - scale) * middle[1])
    seen = [*(np.array([*along_x, *along_y, *away]) / near)]
    how = Image.Transform.PERSPECTIVE, seen, Image.Resampling.BICUBIC
    return picture.transform(picture.size, *how, fillcolor=60), {}


@kind("jpg")
def very_small_on_the_sheet(image, rng):
    cover = draw(image, 600, 800, 60, rng.uniform(0.15, 0.85, 2))
    return as_picture(add_noise(on(cover, 40, 230), 3, rng)), {}


@kind("jpg")
def red_on_yellow(image, rng):
    cover = draw(image, place=place_near_middle(rng))[..., np.newaxis]
    colours = on(cover, np.array([205.0, 40, 50]), np.array([245.0, 230, 120]))
    return as_picture(add_noise(colours, 4, rng)), {}


@kind()
def thick_marker(image, rng):
    picture = as_picture(255 * draw(image, place=place_near_middle(rng)))
    thick = picture.filter(ImageFilter.MaxFilter(9))
    return as_picture(on(np.asarray(thick) / 255, 30, 240)), {}


@kind()
def pixels_of_a_paint_program(image, rng):
    cover = draw(image, place=place_near_middle(rng))
    return as_picture(on(np.round(cover), 0, 255)), {}


@kind("webp")
def crumpled_paper(image, rng):
    creases = Image.fromarray(rng.normal(0, 1, (12, 9)).astype(np.float32))
    light = np.asarray(creases.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))
    grey = on(draw(image, place=place_near_middle(rng)), 35, 225) * (1 - 0.05 * np.abs(light))
    return as_picture(add_noise(grey, 3, rng)), {}
