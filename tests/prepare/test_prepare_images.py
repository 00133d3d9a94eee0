"""How prepare stores images: scaled, as JPEG or raw, and what it does with those that are odd or broken."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageOps

from degla.images import ImageStore, decode, read_images
from degla.prepare import PrepareConfig, run
from degla.prepare.images import JPEG_QUALITY, store_image


def picture(width, height, seed=0):
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 255, (12, 16, 3), dtype=np.uint8))
    return coarse.resize((width, height), Image.Resampling.BICUBIC)


def encoded(image, kind="jpeg", **options):
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def pixels(data):
    return np.asarray(Image.open(BytesIO(data)).convert("RGB"), int)


def test_large_images_are_scaled_to_the_short_side_with_their_aspect_kept():
    data = encoded(picture(300, 200))
    scaled = store_image(data, 100)
    assert (scaled.width, scaled.height) == (150, 100)
    stored = Image.open(BytesIO(scaled.data))
    assert (stored.format, stored.size) == ("JPEG", (150, 100))
    by_hand = Image.open(BytesIO(data)).resize((150, 100), Image.Resampling.BICUBIC)
    assert scaled.data == encoded(by_hand, quality=90, subsampling="4:2:0"), "of the stated quality"
    assert JPEG_QUALITY == 90
    assert store_image(data, 0).data == data
    assert store_image(data, 200).data == data


def test_raw_keeps_every_pixel():
    data = encoded(picture(300, 200))
    expected = Image.open(BytesIO(data)).resize((150, 100), Image.Resampling.BICUBIC)
    assert np.array_equal(decode(store_image(data, 100, "raw").data), np.asarray(expected))
    for side in (0, 200):
        assert np.array_equal(decode(store_image(data, side, "raw").data), pixels(data))
    small = encoded(picture(48, 48), "png")
    assert store_image(small, 256).data == small
    assert np.array_equal(decode(store_image(small, 256, "raw").data), pixels(small))


@pytest.mark.parametrize("kind", ["gif", "tiff", "bmp", "webp"])
def test_other_formats_are_scaled_and_decode(kind):
    data = encoded(Image.new("RGB", (300, 200), (200, 40, 40)), kind)
    for stored in (store_image(data, 0), store_image(data, 100)):
        assert np.abs(decode(stored.data).astype(int) - (200, 40, 40)).max() <= 12


def test_a_very_large_jpeg_is_decoded_at_a_part_of_its_size_and_scaled_to_nearly_the_same():
    image = picture(2_000, 1_500)
    data = encoded(image, quality=95)
    stored = store_image(data, 120, "raw")
    assert (stored.width, stored.height) == (160, 120)
    whole = Image.open(BytesIO(data)).resize((160, 120), Image.Resampling.BICUBIC)
    difference = np.abs(decode(stored.data).astype(int) - np.asarray(whole, int))
    assert 0 < difference.mean() < 0.5
    assert difference.max() <= 12


@pytest.mark.parametrize("mode", ["L", "CMYK", "RGBA", "P", "LA", "1"])
def test_images_of_other_modes_are_stored_as_rgb(mode):
    kind = "jpeg" if mode in ("L", "CMYK") else "png"
    data = encoded(picture(300, 200).convert(mode), kind)
    expected = Image.open(BytesIO(data)).convert("RGB").resize((150, 100), Image.Resampling.BICUBIC)
    assert np.array_equal(decode(store_image(data, 100, "raw").data), np.asarray(expected))
    assert np.abs(decode(store_image(data, 100).data).astype(int) - np.asarray(expected, int)).mean() < (12 if mode == "1" else 4)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("image_format", ["jpeg", "raw"])
@pytest.mark.parametrize("short_side", [0, 100, 256])
def test_photos_are_stored_upright(orientation, image_format, short_side):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(picture(300, 200), exif=exif)
    stored = store_image(data, short_side, image_format)
    upright = ImageOps.exif_transpose(Image.open(BytesIO(data)))
    size = tuple(side // 2 for side in upright.size) if short_side == 100 else upright.size
    assert (stored.width, stored.height) == size
    expected = np.asarray(upright.resize(size, Image.Resampling.BICUBIC), int)
    difference = np.abs(decode(stored.data).astype(int) - expected)
    assert difference.max() == 0 or (short_side == 100 and image_format == "jpeg" and difference.mean() < 4)


def test_images_that_cannot_be_stored_say_why():
    with pytest.raises(ValueError, match="UnidentifiedImageError"):
        store_image(b"", 100)
    with pytest.raises(ValueError, match="truncated"):
        store_image(encoded(picture(300, 200))[:-200], 100)
    long = encoded(Image.new("RGB", (70_000, 30)), "png")
    with pytest.raises(ValueError, match="70000 x 30 pixels are too long for a JPEG"):
        store_image(long, 29)
    assert store_image(long, 29, "raw").height == 29
    assert store_image(long, 30).data == long


@pytest.fixture
def folder(tmp_path):
    """A table and six images: two large, a small PNG, a truncated one, one that is no image, one of 16 bits."""
    images = tmp_path / "images"
    images.mkdir()
    grey = (np.arange(300 * 400, dtype=np.uint16) % 65_000).reshape(300, 400)
    files = {
        "a.jpg": encoded(picture(640, 480)),
        "b.jpg": encoded(picture(333, 500, 1)),
        "c.png": encoded(picture(48, 48, 2), "png"),
        "d.jpg": encoded(picture(640, 480))[:9_000],
        "e.jpg": b"<html>not found</html>",
        "f.png": encoded(Image.fromarray(grey), "png"),
    }
    for name, data in files.items():
        (images / name).write_bytes(data)
    table = tmp_path / "captions.csv"
    table.write_text("image,caption\n" + "".join(f"{name},a photo\n" for name in files))
    return {"dataset": "photos", "captions": str(table), "images": str(images), "max_bad_image_fraction": 0.5}


@pytest.mark.parametrize("image_format", ["jpeg", "raw"])
def test_a_store_holds_what_decodes_and_says_of_the_rest_why_not(folder, tmp_path, image_format):
    artifact = run(PrepareConfig(**folder, image_format=image_format, workers=2, unit_size=2), {}, tmp_path / "out")
    path = artifact.file("images.arrow")
    rows = read_images(path).to_pylist()
    assert [row["status"] for row in rows] == ["ok", "ok", "ok", "undecodable", "undecodable", "ok"]
    assert [(row["width"], row["height"]) for row in rows] == [
        (341, 256),
        (256, 384),
        (48, 48),
        (None,) * 2,
        (None,) * 2,
        (341, 256),
    ]
    assert "truncated" in rows[3]["error"]
    assert "UnidentifiedImageError" in rows[4]["error"]
    store = ImageStore(path)
    for row in (0, 1, 2, 5):
        assert store.pixels(row).shape == (rows[row]["height"], rows[row]["width"], 3)
    artifact.verify()


def test_one_file_of_many_parts_has_the_same_bytes(folder, tmp_path):
    one = run(PrepareConfig(**folder, workers=1), {}, tmp_path / "one")
    many = run(PrepareConfig(**folder, workers=2, unit_size=1), {}, tmp_path / "many")
    assert one.fingerprint == many.fingerprint
    assert one.manifest.files == many.manifest.files
    raw = run(PrepareConfig(**folder, image_format="raw", workers=1), {}, tmp_path / "raw")
    assert raw.fingerprint != one.fingerprint


def test_damage_to_the_store_is_found(folder, tmp_path):
    artifact = run(PrepareConfig(**folder, workers=1), {}, tmp_path / "out")
    path = artifact.file("images.arrow")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)
    with pytest.raises(Exception, match=r"images\.arrow was changed after it was made"):
        artifact.verify()
    path.write_bytes(data[:-1])
    with pytest.raises(Exception, match=r"images\.arrow is missing or was changed"):
        artifact.file("images.arrow")
