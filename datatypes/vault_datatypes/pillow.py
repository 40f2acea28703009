"""Pillow images, in an image format."""

import copy
import io
import math
from collections.abc import Mapping
from typing import Any, BinaryIO, Self

from vault._runtime.extras import extra
from vault.datatype import decoding
from vault.errors import DecodeError, EncodeError
from vault.store.limits import shown

from vault_datatypes.library import LibraryWrapper

with extra("pillow", __name__):
    from PIL import ExifTags, Image

FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP")
"""Formats that are written and read. Pillow reads others, some by running programs such as Ghostscript."""

_INFO = ("icc_profile", "xmp", "comment", "transparency")
"""Entries of an image's `info` that a format has or refuses; `dpi` is rounded by most."""

_SAVED = {"xmp": ("JPEG", "PNG", "TIFF", "WEBP"), "comment": ("JPEG", "GIF", "TIFF")}
"""Formats that Pillow writes an entry to when it is told so."""


_LAYOUT = frozenset(
    {*range(254, 260), 262, 273, *range(277, 285), 296, 317, *range(320, 326), 338, 339, 347, 700}
    | {34665, 34675, 34853, 40965}
)
"""Tags of EXIF that say how a file is laid out, and what each format has in its own way (resolution, profile, XMP)."""


class ImageWrapper(LibraryWrapper):
    """A Pillow image of one frame.

    Arguments:
        data: The image.
        format: One of FORMATS. PNG, the default, keeps every pixel. JPEG, and WEBP without
            options={"lossless": True}, do not, and lose a little more each time an edited image is written back: that
            is what asking for them means. A loaded image keeps the format it was stored in. For the very bytes of an
            image file use vault.BytesWrapper.
        options: What Pillow's `save` takes for the format, such as {"quality": 90}. Not stored.

    Mode, size, pixels, palette, transparency, colour profile, EXIF, XMP and comment come back, and the resolution to a
    hundredth; an image of which the format cannot hold one is an EncodeError. (Other entries of `info` say how some
    file was written, and are not stored.) Pillow's own guard against decompression bombs stays on beside `max_decoded`.

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

    def _write(self, stream: BinaryIO) -> None:
        image = self.data
        if not isinstance(image, Image.Image):
            raise EncodeError(f"{type(self).__name__} holds a Pillow image, not a {type(image).__name__}")
        if self.format not in FORMATS:
            raise EncodeError(f"image format {self.format!r}: {', '.join(FORMATS)} are written")
        if getattr(image, "n_frames", 1) > 1:
            raise EncodeError("an image of several frames: keep its file's bytes in a vault.BytesWrapper")
        file = io.BytesIO()  # formats are written out of order
        try:
            image.save(file, self.format, **{**_kept(image, self.format), **self.options})
        except Exception as error:
            raise EncodeError(
                f"{self.format} cannot hold the image ({error}): for {image.mode} use format='{_holder(image)}'"
            ) from error
        stream.write(file.getvalue())

    def _difference(self, data: Image.Image) -> str | None:
        lossy = self.format == "JPEG" or (self.format == "WEBP" and not self.options.get("lossless"))
        found = _difference(self.data, data, lossy=lossy)
        return f"{self.format} does not keep the image: {found}" if found else None

    @classmethod
    def _load(cls, raw: bytes) -> Self:
        with decoding(cls):
            image = Image.open(io.BytesIO(raw), formats=FORMATS)
            width, height = image.size
            cls._check_decoded(width * height * _pixel_bytes(image.mode), len(raw))
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


def _kept(image: Image.Image, format: str) -> dict[str, Any]:  # noqa: A002  # Pillow's own word
    """What `save` forgets unless it is told."""
    kept = {name: image.info[name] for name in ("dpi", "icc_profile") if image.info.get(name)}
    kept |= {name: image.info[name] for name, formats in _SAVED.items() if image.info.get(name) and format in formats}
    if format == "GIF":
        kept["optimize"] = False  # it gives colours other numbers
    exif = image.getexif()
    return {**kept, "exif": exif} if len(exif) else kept


def _pixel_bytes(mode: str) -> int:
    """Bytes that Pillow takes for a pixel."""
    if mode in ("1", "L", "P"):
        return 1
    return 2 if mode.startswith("I;16") else 4


def _difference(before: Image.Image, after: Image.Image, *, lossy: bool) -> str | None:
    """What of the image is another, and what to do about it."""
    if before.mode != after.mode:
        return (
            f"mode {before.mode} would come back as {after.mode}; convert the image, or use format='{_holder(before)}'"
        )
    orientation = before.getexif().get(ExifTags.Base.Orientation, 1)
    if after.getexif().get(ExifTags.Base.Orientation, 1) != orientation:
        return f"its EXIF orientation {orientation} would be lost, or applied; ImageOps.exif_transpose() applies it"
    if before.size != after.size:
        return f"size {before.size} would come back as {after.size}"
    if lossy:
        if "A" in before.getbands() and before.getchannel("A").tobytes() != after.getchannel("A").tobytes():
            return "another alpha would come back; use format='PNG'"
    elif before.tobytes() != after.tobytes():
        return f"other pixels would come back; use format='{_holder(before)}'"
    if before.palette is not None and before.convert("RGBA").tobytes() != after.convert("RGBA").tobytes():
        return "another palette would come back; convert the image to RGBA"
    for name in _INFO:
        if name == "transparency" and before.mode == "P":
            continue  # PNG says the same in two ways; the colours were compared
        if (mine := before.info.get(name)) not in (None, b"", "") and mine != after.info.get(name):
            return f"info[{name!r}] would come back as {shown(after.info.get(name))}; delete it, or use another format"
    if (mine := before.info.get("dpi")) and not _close(mine, after.info.get("dpi")):
        return f"info['dpi'] {mine} would come back as {after.info.get('dpi')}; delete it, or use another format"
    if found := _exif_difference(before.getexif(), after.getexif()):
        return f"its EXIF {found}; delete it, or use another format"
    return None


def _exif_difference(before: Image.Exif, after: Image.Exif) -> str | None:
    for mine, theirs in [(before, after), *((before.get_ifd(ifd), after.get_ifd(ifd)) for ifd in ExifTags.IFD)]:
        for tag, value in mine.items():
            if tag not in _LAYOUT and (tag not in theirs or theirs[tag] != value):
                name = ExifTags.TAGS.get(tag, ExifTags.GPSTAGS.get(tag, "tag"))
                return f"{name} ({tag}) {shown(value)} would come back as {shown(theirs.get(tag))}"
    return None


def _holder(image: Image.Image) -> str:
    return "PNG" if image.mode in ("1", "L", "LA", "I;16", "P", "RGB", "RGBA") else "TIFF"


def _close(mine: Any, theirs: Any) -> bool:
    return theirs is not None and all(
        math.isclose(one, other, rel_tol=0.01) for one, other in zip(mine, theirs, strict=True)
    )
