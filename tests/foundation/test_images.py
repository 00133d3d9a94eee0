"""What becomes of an encoded image: the pixels that Pillow gives, or an error that says why not."""

import io
import re

import numpy as np
import pyarrow as pa
import pytest
from PIL import ExifTags, Image, ImageOps

from degla.errors import DataError
from degla.images import ImageStore, TooManyPixels, as_raw, decode, images_writer, open_image, read_images
from degla.schemas import IMAGES


def picture(height=60, width=90, seed=0):
    """Smooth colours with noise on them, uint8 (height, width, 3)."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 255, (5, 7, 3), dtype=np.uint8)).resize((width, height), Image.Resampling.BICUBIC)
    return np.clip(np.asarray(coarse, int) + random.normal(0, 12, (height, width, 3)), 0, 255).astype(np.uint8)


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def by_pillow(data):
    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))


RGB = Image.fromarray(picture())
ORIENTED = Image.Exif()
ORIENTED[0x0112] = 6  # turned by a quarter
FILES = {
    "jpeg": encoded(RGB, "jpeg", quality=90),
    "jpeg_444": encoded(RGB, "jpeg", quality=95, subsampling=0),
    "jpeg_422": encoded(RGB, "jpeg", quality=80, subsampling=1),
    "jpeg_progressive": encoded(RGB, "jpeg", progressive=True),
    "jpeg_grey": encoded(RGB.convert("L"), "jpeg"),
    "jpeg_cmyk": encoded(RGB.convert("CMYK"), "jpeg"),
    "jpeg_rgb": encoded(RGB, "jpeg", keep_rgb=True),
    "jpeg_turned": encoded(RGB, "jpeg", exif=ORIENTED),
    "jpeg_odd_size": encoded(Image.fromarray(picture(33, 47)), "jpeg"),
    "jpeg_one_pixel": encoded(Image.fromarray(picture(1, 1)), "jpeg"),
    "jpeg_long": encoded(Image.fromarray(picture(3, 5_000)), "jpeg"),
    "png": encoded(RGB, "png"),
    "png_alpha": encoded(RGB.convert("RGBA"), "png"),
    "png_palette": encoded(RGB.convert("P"), "png"),
    "png_one_bit": encoded(RGB.convert("1"), "png"),
    "png_grey_alpha": encoded(RGB.convert("LA"), "png"),
    "gif": encoded(RGB.convert("P"), "gif"),
    "webp": encoded(RGB, "webp"),
    "bmp": encoded(RGB, "bmp"),
    "ppm": encoded(RGB, "ppm"),
}


@pytest.mark.parametrize("name", FILES)
def test_the_pixels_are_those_of_pillow(name):
    pixels = decode(FILES[name])
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels, by_pillow(FILES[name]))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "tiff"])
def test_a_photo_is_upright_whatever_its_exif_orientation(orientation, kind, shared_data):
    (photo, *_) = sorted(shared_data("coco_mini/val2017").glob("*.jpg"))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    image = Image.open(photo).convert("RGB")
    data = encoded(image, kind, exif=exif)
    expected = by_pillow(data)
    assert expected.shape == (*((image.width, image.height) if orientation > 4 else (image.height, image.width)), 3)
    assert np.array_equal(decode(data), expected)
    assert np.array_equal(np.asarray(open_image(data)), expected)
    assert min(open_image(data, at_least=100).size) >= 100
    assert (open_image(data, at_least=100).width > open_image(data, at_least=100).height) == (
        expected.shape[1] > expected.shape[0]
    )


def test_metadata_that_cannot_be_read_turns_nothing():
    exif = ORIENTED.tobytes()
    for broken in (exif[:6] + b"not a TIFF header", exif[:12], exif[:-3]):
        assert decode(encoded(RGB, "jpeg", exif=broken)).shape in {(60, 90, 3), (90, 60, 3)}
    assert decode(encoded(RGB, "jpeg", exif=exif[:6] + b"not a TIFF header")).shape == (60, 90, 3)


def test_an_orientation_is_found_behind_other_segments_and_fill_bytes():
    data, comment = FILES["jpeg_turned"], b"\xff\xfe\x00\x06abcd"
    for before in (comment, b"\xff\xff" + comment, comment + b"\xff"):
        assert decode(data[:2] + before + data[2:]).shape == (90, 60, 3)


def test_the_word_exif_in_a_comment_turns_nothing():
    assert np.array_equal(decode(encoded(RGB, "jpeg", quality=90, comment=b"Exif\0\0II*\0")), decode(FILES["jpeg"]))


def test_raw_pixels_come_back_without_a_copy():
    data = as_raw(picture(7, 11))
    assert np.array_equal(decode(data), picture(7, 11))
    assert np.shares_memory(decode(data), np.frombuffer(data, np.uint8))
    assert np.array_equal(by_pillow(data), picture(7, 11)), "other programs read them too"


def test_sixteen_bits_of_grey_keep_their_order():
    grey = np.arange(64 * 1024, dtype=np.uint16).reshape(256, 256)
    expected = np.repeat((grey // 256).astype(np.uint8)[..., None], 3, axis=2)
    for kind in ("png", "tiff"):
        assert np.array_equal(decode(encoded(Image.fromarray(grey), kind)), expected)


@pytest.mark.parametrize("name", ["jpeg", "jpeg_progressive", "jpeg_cmyk", "png", "webp", "ppm"])
@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 0.97])
def test_a_truncated_file_is_refused(name, share):
    with pytest.raises(ValueError, match=r".+"):
        decode(FILES[name][: int(share * len(FILES[name]))])


def test_what_is_no_image_is_refused():
    for data in (b"", b"\xff\xd8", b"\xff\xd8\xff\xe0 and so on" * 20, b"P6\n10 10\n255\n123", b"<html>not found</html>"):
        with pytest.raises(ValueError, match=r".+"):
            decode(data)
    with pytest.raises(ValueError, match="pixels of 32 bits"):
        decode(encoded(Image.fromarray(np.zeros((4, 4), np.float32)), "tiff"))
    for name in ("png", "jpeg_cmyk", "jpeg"):
        with pytest.raises(TooManyPixels, match="90 x 60 pixels are more than 5,000"):
            decode(FILES[name], max_pixels=5_000)
        assert decode(FILES[name], max_pixels=None).shape == (60, 90, 3)


def rows(*data):
    return [
        {"image_id": str(number), "source": "x", "status": "ok" if each else "missing", "image": each}
        | {"error": None, "width": 1, "height": 1}
        for number, each in enumerate(data)
    ]


def test_a_store_written_in_pieces_gives_every_row(tmp_path):
    path = tmp_path / "images.arrow"
    pieces = [rows(as_raw(picture(4, 5, 0))), rows(None, FILES["png"], as_raw(picture(6, 3, 1))), [], rows(FILES["jpeg"])]
    with images_writer(path) as write:
        for piece in pieces:
            write(pa.Table.from_pylist(piece, IMAGES))
    store = ImageStore(path)
    expected = {0: picture(4, 5, 0), 2: picture(), 3: picture(6, 3, 1), 4: by_pillow(FILES["jpeg"])}
    for row, pixels in expected.items():
        assert np.array_equal(store.pixels(row), pixels)
    assert read_images(path, ["status"])["status"].to_pylist() == ["ok", "missing", "ok", "ok", "ok"]


def test_a_store_gives_plain_jpegs_and_raw_pixels_without_pillow(tmp_path, monkeypatch):
    with images_writer(tmp_path / "images.arrow") as write:
        write(pa.Table.from_pylist(rows(FILES["jpeg"], as_raw(picture()), FILES["png"]), IMAGES))
    store = ImageStore(tmp_path / "images.arrow")
    monkeypatch.setattr(Image, "open", None)
    assert store.pixels(0).shape == store.pixels(1).shape == (60, 90, 3)
    with pytest.raises(ValueError, match="not callable"):
        store.pixels(2)


def test_a_store_that_cannot_be_read_is_named(tmp_path):
    path = tmp_path / "images.arrow"
    with pytest.raises(DataError, match=re.escape(f"{path}: not a readable Arrow file")):
        read_images(path)
    with images_writer(path) as write:
        write(pa.Table.from_pylist(rows(FILES["png"]), IMAGES))
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DataError, match=r"not a readable Arrow file.*run prepare again"):
        ImageStore(path)
    other = pa.table({"image_id": ["a"]})
    with pa.ipc.new_file(path, other.schema) as writer:
        writer.write_table(other)
    with pytest.raises(DataError, match="column 'image' is missing"):
        ImageStore(path)
