"""Pictures made for the tests, and what every test of a protected one does."""

from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms

from unlearnable.files import Picture, decode, encode, matches, output_name
from unlearnable.packs import digits

SIZE = (61, 43)
SUFFIX = {"PNG": ".png", "JPEG": ".jpg", "WEBP": ".webp", "TIFF": ".tif", "BMP": ".bmp", "GIF": ".gif",
          "AVIF": ".avif", "JPEG2000": ".jp2"}  # fmt: skip
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def write_digits(folder: Path, per_class: int, first: int = 0, pencil: bool = False) -> Path:
    """Some of scikit-learn's digits as class folders of PNG files; pencil: in levels 112 to 143, on grey paper."""
    train, _ = digits()
    for label in range(len(train.classes)):
        rows = (train.labels == label).nonzero().flatten()[first : first + per_class]
        for row in rows.tolist():
            path = folder / train.classes[label] / f"{row}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            image = 112 + train.images[row] // 8 if pencil else train.images[row]
            Image.fromarray(image.permute(1, 2, 0).contiguous().numpy()).save(path)
    return folder


def picture(mode: str) -> Image.Image:
    samples = np.random.default_rng(7).integers(0, 256, (SIZE[1], SIZE[0], 4), dtype=np.uint8)
    samples[: SIZE[1] // 2] //= 3
    image = Image.fromarray(samples)
    if mode == "RGBA":
        return image
    if mode == "LA":
        return Image.merge("LA", (image.getchannel(0), image.getchannel(3)))
    if mode == "I;16":
        return Image.fromarray(samples[..., 0].astype(np.uint16) * 256 + samples[..., 1])
    if mode == "PA":
        return image.convert("RGB").quantize(32).convert("PA")
    if mode == "CMYK":
        return Image.merge("CMYK", image.split())
    if mode.startswith("P"):
        return image.convert("RGB").quantize(32)
    return image.convert("RGB").convert(mode)


def changed(planes: np.ndarray, seed: int = 0) -> np.ndarray:
    """Every sample moved by up to 8 levels, within its range."""
    step = np.random.default_rng(seed).integers(-8, 9, planes.shape)
    return (planes.astype(int) + step).clip(0, np.iinfo(planes.dtype).max).astype(planes.dtype)


def reopened(data: bytes) -> Image.Image:
    image = Image.open(BytesIO(data))
    image.load()
    return image


def protected(data: bytes, name: str, container: str = "keep") -> tuple[Picture, np.ndarray, bytes]:
    """Decode, change, encode, check with the package's own read-back."""
    original = decode(data, name, container)
    planes = changed(original.planes)
    out = encode(original, planes)
    assert matches(original, planes, out, output_name(name, original.target, {})) is None
    return original, planes, out
