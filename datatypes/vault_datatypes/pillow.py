"""Pillow images, in an image format."""

import copy
import io
from collections.abc import Mapping
from typing import Any, Self

from vault.errors import DecodeError, EncodeError
from vault.wrappers import Wrapper

from vault_datatypes.extras import extra

with extra("pillow"):
    from PIL import Image

FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP")
"""Formats that are written and read. Pillow reads others, some by running programs such as Ghostscript."""

_PNG_MODES = ("1", "L", "LA", "I;16", "P", "RGB", "RGBA")


class ImageWrapper(Wrapper):
    """A Pillow image of one frame.

    Arguments:
        data: The image.
        format: One of FORMATS. PNG, the default, keeps every pixel; JPEG does not, and loses a little
            more each time an edited image is written back. A loaded image keeps the format it was
            stored in. For the very bytes of an image file use vault.BytesWrapper.
        options: What Pillow's `save` takes for the format, such as {"quality": 90}. Not stored.

    Mode, size, palette, transparency, colour profile, resolution and EXIF are kept as far as the format
    has them. Pillow's guard against decompression bombs stays on.

        >>> from PIL import Image
        >>> from vault_datatypes import ImageWrapper
        >>> loaded = ImageWrapper._load(ImageWrapper(Image.new("RGB", (3, 2), "red"))._dump())
        >>> loaded.data.size, loaded.data.getpixel((0, 0)), loaded.format
        ((3, 2), (255, 0, 0), 'PNG')
    """

    datatype_tag = "PIL.Image"
    data: Image.Image

    def __init__(self, data: Image.Image, format: str = "PNG", options: Mapping[str, Any] | None = None) -> None:  # noqa: A002  # Pillow's own word
        super().__init__(data)
        self.format = format.upper()
        self.options = dict(options or {})

    def _dump(self) -> bytes:
        image = self.data
        if not isinstance(image, Image.Image):
            raise EncodeError(f"{type(self).__name__} holds a Pillow image, not a {type(image).__name__}")
        if self.format not in FORMATS:
            raise EncodeError(f"image format {self.format!r}: {', '.join(FORMATS)} are written")
        if getattr(image, "n_frames", 1) > 1:
            raise EncodeError("an image of several frames: keep its file's bytes in a vault.BytesWrapper")
        if self.format == "PNG" and image.mode not in _PNG_MODES:
            raise EncodeError(f"PNG holds images of mode {', '.join(_PNG_MODES)}; for {image.mode} use format='TIFF'")
        stream = io.BytesIO()
        image.save(stream, self.format, **{**_kept(image), **self.options})
        return stream.getvalue()

    @classmethod
    def _load(cls, raw: bytes) -> Self:
        image = Image.open(io.BytesIO(raw), formats=FORMATS)
        if getattr(image, "n_frames", 1) > 1:
            raise DecodeError(f"a {image.format} image of several frames: load its bytes with vault.BytesWrapper")
        image.load()
        return cls(image, image.format or "PNG")

    def _clone(self) -> Self:
        clone = copy.copy(self)
        clone.data, clone.options = self.data.copy(), dict(self.options)
        return clone

    def _holds(self, data: Image.Image) -> bool:
        mine, theirs = ((image.mode, image.size, image.getpalette(), image.tobytes()) for image in (self.data, data))
        return mine == theirs


def _kept(image: Image.Image) -> dict[str, Any]:
    """What `save` forgets unless it is told."""
    kept = {name: image.info[name] for name in ("dpi", "icc_profile") if image.info.get(name)}
    exif = image.getexif()
    return {**kept, "exif": exif} if len(exif) else kept
