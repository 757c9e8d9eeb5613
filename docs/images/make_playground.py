"""Make playground.gif and playground.png from the real page: python docs/images/make_playground.py.

It needs Chromium and the extra `browser`.
"""

import io
import sys
import threading
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1] / "examples"))

from playground_page.server import Playground  # noqa: E402 - from the folder of examples

CHROMIUM = "/usr/bin/chromium"
STEPS = range(0, 1001, 25)  # of training: a frame after each
WIDTH = 720
EACH, LAST = 110, 2500  # milliseconds that a frame is shown


def find_clip(page):
    """Return the rectangle around the plane and the curves, with a small margin."""
    boxes = [page.locator(name).bounding_box() for name in (".picture:visible", ".curves")]
    left, top = (min(box[side] for box in boxes) - 8 for side in "xy")
    right = max(box["x"] + box["width"] for box in boxes) + 8
    bottom = max(box["y"] + box["height"] for box in boxes) + 8
    return {"x": left, "y": top, "width": right - left, "height": bottom - top}


def train_until(trainer, page, step):
    """Train up to a step or a few more, and wait until the page shows that."""
    if step:
        trainer.start()
    while trainer.step < step:
        page.wait_for_timeout(1)
    trainer.pause()
    shown = "step => state && !state.running && scores && scores.step === step"
    while not page.evaluate(shown, trainer.step):
        page.wait_for_timeout(5)


def take_frames(server):
    """Return the frames of the animation; leave a picture of the whole page behind."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--headless"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(server.url)
        frames = []
        for step in STEPS:
            train_until(server.trainer, page, step)
            frames.append(page.screenshot(clip=find_clip(page), full_page=True))
        page.screenshot(path=HERE / "playground.png", full_page=True)
        browser.close()
    return [Image.open(io.BytesIO(frame)).convert("RGB") for frame in frames]


def write_gif(frames, path):
    """Write frames as an animation in 128 colours, which all frames share."""
    height = round(WIDTH * frames[0].height / frames[0].width)
    small = [frame.resize((WIDTH, height), Image.Resampling.LANCZOS) for frame in frames]
    palette = small[-1].quantize(128)
    first, *others = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in small]
    first.save(
        path,
        save_all=True,
        append_images=others,
        duration=[EACH] * len(others) + [LAST],
        loop=0,
        optimize=True,
    )
    print(f"{path}: {len(frames)} frames, {path.stat().st_size:,} bytes")


def main():
    """Write both pictures."""
    with Playground() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            frames = take_frames(server)
        finally:
            server.shutdown()
            thread.join()
    picture = Image.open(HERE / "playground.png").convert("P", palette=Image.Palette.ADAPTIVE)
    picture.save(HERE / "playground.png", optimize=True)
    write_gif(frames, HERE / "playground.gif")


if __name__ == "__main__":
    main()
