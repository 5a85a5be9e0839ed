"""A picture with large and small shapes, as photographs have, for tests of hashing and comparing."""

import numpy as np
from PIL import Image, ImageDraw


def photo(seed, size=(420, 300)):
    """An RGB picture of random ellipses of all sizes."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", size, tuple(int(v) for v in rng.integers(60, 200, 3)))
    pen = ImageDraw.Draw(image)
    for scale in (180, 90, 40, 15):
        for _ in range(1000 // scale):
            x, y = rng.integers(-20, size[0]), rng.integers(-20, size[1])
            box = (x, y, x + rng.integers(4, scale), y + rng.integers(4, scale))
            pen.ellipse(box, fill=tuple(int(v) for v in rng.integers(0, 256, 3)))
    return image
