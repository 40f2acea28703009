"""Images come back in the format they were stored in."""

import io
import struct
import zlib
from typing import Any

import pytest
from PIL import Image
from vault.errors import DecodeError, EncodeError
from vault_datatypes import ImageWrapper

from tests.datatypes.streams import every_way


def picture(mode: str) -> Image.Image:
    image = Image.new(mode, (7, 5))
    bands = image.im.bands
    image.putdata([index % 2 if bands == 1 else (index,) * bands for index in range(35)])
    if mode == "P":
        image.putpalette([1, 2, 3, 4, 5, 6])
    return image


@pytest.mark.parametrize("mode", ["1", "L", "LA", "I;16", "P", "RGB", "RGBA"])
def test_png_keeps_every_pixel(mode: str) -> None:
    image = picture(mode)
    for loaded in every_way(ImageWrapper(image)):
        assert (loaded.mode, loaded.size) == (mode, (7, 5))
        assert loaded.tobytes() == image.tobytes()


@pytest.mark.parametrize(
    ("mode", "format"), [("F", "TIFF"), ("I", "TIFF"), ("CMYK", "TIFF"), ("RGB", "BMP"), ("P", "GIF")]
)
def test_other_formats_keep_their_pixels_too(mode: str, format: str) -> None:  # noqa: A002  # Pillow's word
    wrapper = ImageWrapper(picture(mode), format=format.lower())
    loaded = ImageWrapper._load(wrapper._dump())
    assert loaded.format == format
    assert loaded.data.mode == mode
    assert loaded.data.tobytes() == picture(mode).tobytes()


def test_a_loaded_image_is_stored_again_in_its_own_format() -> None:
    wrapper = ImageWrapper(picture("RGB"), format="JPEG", options={"quality": 95})
    loaded = ImageWrapper._load(wrapper._dump())
    assert loaded.format == "JPEG"
    assert loaded._clone()._dump().startswith(b"\xff\xd8")
    assert loaded.data.size == (7, 5)


def test_what_a_file_says_of_an_image_is_kept() -> None:
    stream = io.BytesIO()
    exif = Image.Exif()
    exif[0x010E] = "a picture"
    picture("P").save(stream, "PNG", dpi=(300, 300), icc_profile=b"profile", exif=exif, transparency=1)
    image = ImageWrapper._load(ImageWrapper._load(stream.getvalue())._dump()).data
    assert image.info["dpi"] == pytest.approx((300, 300), rel=1e-3)
    assert image.info["icc_profile"] == b"profile"
    assert image.info["transparency"] == 1
    assert image.getexif()[0x010E] == "a picture"


def test_a_clone_is_changed_alone() -> None:
    wrapper = ImageWrapper._load(ImageWrapper(picture("RGB"))._dump())
    clone = wrapper._clone()
    assert clone == wrapper
    clone.data.putpixel((0, 0), (255, 255, 255))
    assert clone != wrapper
    assert wrapper.data.getpixel((0, 0)) == (0, 0, 0)


def animation() -> bytes:
    stream = io.BytesIO()
    frames = [Image.new("L", (4, 4), shade) for shade in (0, 100, 200)]
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:])
    return stream.getvalue()


@pytest.mark.parametrize(
    ("wrapper", "text"),
    [
        (ImageWrapper(picture("F")), "for F use format='TIFF'"),
        (ImageWrapper(picture("I")), "for I use format='TIFF'"),
        (ImageWrapper(picture("RGB"), format="EPS"), "'EPS': PNG, JPEG"),
        (ImageWrapper(Image.open(io.BytesIO(animation()))), "several frames"),
    ],
)
def test_what_would_not_come_back_is_refused(wrapper: ImageWrapper, text: str) -> None:
    with pytest.raises(EncodeError, match=text):
        wrapper._dump()


def test_only_images_are_held() -> None:
    wrong: Any = b"bytes"
    with pytest.raises(EncodeError, match="holds a Pillow image, not a bytes"):
        ImageWrapper(wrong)._dump()


def test_an_animation_is_not_loaded_as_its_first_frame() -> None:
    with pytest.raises(DecodeError, match="several frames"):
        ImageWrapper._load(animation())


def test_bytes_that_are_no_image_or_half_of_one_are_refused() -> None:
    raw = ImageWrapper(picture("RGB"))._dump()
    for damaged in (b"", b"not an image", raw[: len(raw) // 2], b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"):
        with pytest.raises(DecodeError):
            ImageWrapper._load(damaged)


def test_a_decompression_bomb_is_refused() -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 1, 0, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    with pytest.raises(DecodeError, match="DecompressionBombError"):
        ImageWrapper._load(b"\x89PNG\r\n\x1a\n" + chunks)
