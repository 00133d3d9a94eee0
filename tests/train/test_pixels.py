"""What the model sees of an image: the crop that Pillow would make, within a stated difference, and of any image."""

import numpy as np
import pytest
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from degla.images import decode
from degla.models import ModelRef
from degla.models.loading import load
from degla.prepare.images import store_image
from degla.train.batches.pixels import Crop, centre_box, resize, with_borders
from degla.train.batches.streams import Stream, stream


def picture(height, width, seed=0):
    """Smooth colours with hard edges, uint8 (height, width, 3)."""
    random = np.random.default_rng(seed)
    image = Image.fromarray(random.integers(0, 255, (6, 8, 3), dtype=np.uint8)).resize((width, height), Image.Resampling.BICUBIC)
    pixels = np.array(image)
    for _ in range(6):
        top, left = random.integers(height), random.integers(width)
        pixels[top : top + height // 5, left : left + width // 4] = random.integers(0, 255, 3)
    return pixels


def by_pillow(pixels, box, size):
    top, left, bottom, right = box
    image = Image.fromarray(pixels).crop((left, top, right, bottom))
    return np.asarray(image.resize(size[::-1], Image.Resampling.BICUBIC), int)


def test_crops_differ_by_epoch_and_caption_and_without_augmentation_they_do_not():
    image = picture(40, 56)
    crop = Crop((32, 32), (0.5, 1.0), seed=1)
    first = crop(image, 0, 100)
    assert first.shape == (32, 32, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, crop(image, 0, 100))
    for other in (crop(image, 1, 100), crop(image, 0, 101), Crop((32, 32), (0.5, 1.0), seed=2)(image, 0, 100)):
        assert not np.array_equal(first, other)
    plain = Crop((32, 32), (1.0, 1.0), seed=1)
    assert np.array_equal(plain(image, 0, 100), plain(image, 1, 101))


@pytest.mark.parametrize("shape", [(256, 341), (341, 256), (256, 256), (300, 900), (120, 150), (20, 31)])
def test_the_scaled_crop_is_pillows_but_for_rounding(shape):
    size = (112, 112)
    pixels, box = picture(*shape), (3, 5, shape[0] - 1, shape[1] - 2)
    ours = resize(pixels[3:-1, 5:-2], size).astype(int)
    difference = np.abs(ours - by_pillow(pixels, box, size))
    assert difference.mean() < 0.1
    assert (difference > 1).mean() < 0.002
    assert difference.max() <= 16


def test_an_image_of_the_asked_size_keeps_every_pixel():
    pixels = np.random.default_rng(0).integers(0, 256, (48, 48, 3), dtype=np.uint8)
    assert np.array_equal(Crop((48, 48), (1.0, 1.0), seed=0)(pixels, 3, 4), pixels)


def test_read_only_pixels_are_cropped_without_a_warning(recwarn):
    pixels = np.frombuffer(picture(40, 56).tobytes(), np.uint8).reshape(40, 56, 3)
    assert np.array_equal(resize(pixels, (32, 32)), resize(picture(40, 56), (32, 32)))
    assert not recwarn.list


def test_the_number_of_torchs_threads_changes_nothing():
    threads, results = torch.get_num_threads(), []
    try:
        for number in (1, 3):
            torch.set_num_threads(number)
            results.append(resize(picture(600, 800), (224, 224)))
    finally:
        torch.set_num_threads(threads)
    assert np.array_equal(*results)


def test_without_augmentation_a_square_image_is_what_evaluation_sees(tiny):
    clip = load(ModelRef(architecture=tiny, weights="random"))
    pixels = picture(48, 48)
    cropped = Crop((32, 32), (1.0, 1.0), seed=1)(pixels, 0, 0)
    mean, std = np.array(clip.preprocessing.mean), np.array(clip.preprocessing.std)
    seen = clip.preprocess(Image.fromarray(pixels)).permute(1, 2, 0).numpy() * std + mean
    np.testing.assert_allclose(cropped, seen * 255, atol=4)
    assert np.abs(cropped - seen * 255).mean() < 0.1


@pytest.mark.parametrize("mode", ["shortest", "squash", "longest"])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("shape", [(96, 144), (144, 96), (64, 64)])
def test_without_augmentation_training_sees_what_evaluation_sees(mode, interpolation, shape):
    """The reference is open_clip's own transform for evaluation; shapes whose borders fall on whole pixels."""
    settings = PreprocessCfg(
        size=48, mean=(0.0,) * 3, std=(1.0,) * 3, interpolation=interpolation, resize_mode=mode, fill_color=77
    )
    pixels = picture(*shape)
    seen = image_transform_v2(settings, is_train=False)(Image.fromarray(pixels)).permute(1, 2, 0).numpy() * 255
    cropped = Crop((48, 48), (1.0, 1.0), 0, mode, interpolation, 77)(pixels, 0, 0)
    assert np.abs(cropped - seen).mean() < 2.5, "the other mode is 10 to 40 apart, the other filter 3"
    others = {"shortest", "squash", "longest"} - {mode} if shape[0] != shape[1] else ()
    for other in others:
        assert np.abs(Crop((48, 48), (1.0, 1.0), 0, other, interpolation, 77)(pixels, 0, 0) - seen).mean() > 8


def test_random_crops_of_a_squashed_image_have_its_shape_but_for_the_usual_ratio():
    crop = Crop((32, 32), (0.4, 0.6), 0, "squash")
    boxes = np.array([crop.random_box(100, 300, np.random.default_rng(i)) for i in range(300)])
    height, width = (boxes[:, 2] - boxes[:, 0]) / 100, (boxes[:, 3] - boxes[:, 1]) / 300
    assert 0.39 < (height * width).min() < (height * width).max() < 0.61
    assert 0.73 < (width / height).min() < 0.85
    assert 1.2 < (width / height).max() < 1.37


def test_borders_are_in_the_fill_colour_and_half_of_them_on_each_side():
    canvas = with_borders(np.full((10, 30, 3), 200, np.uint8), (32, 32), 9)
    assert canvas.shape == (30, 30, 3)
    assert (canvas[10:20] == 200).all()
    assert (canvas[:10] == 9).all()
    assert (canvas[20:] == 9).all()


def test_random_crops_cover_the_asked_share_of_the_area():
    crop = Crop((32, 32), (0.4, 0.6), seed=0)
    boxes = np.array([crop.random_box(100, 120, np.random.default_rng(i)) for i in range(300)])
    top, left, bottom, right = boxes.T
    areas, ratios = (right - left) * (bottom - top) / (100 * 120), (right - left) / (bottom - top)
    assert areas.min() > 0.38
    assert areas.max() < 0.62
    assert abs(areas.mean() - 0.5) < 0.02
    assert ratios.min() > 0.73
    assert ratios.max() < 1.37
    assert boxes.min() >= 0
    assert (bottom.max(), right.max()) == (100, 120)
    assert np.abs(((top + bottom) / 200 - 0.5).mean()) < 0.03
    assert np.abs(((left + right) / 240 - 0.5).mean()) < 0.03


def test_a_crop_is_the_same_part_of_an_image_however_large_it_is_stored():
    crop, apart = Crop((224, 224), (0.5, 1.0), seed=3), []
    for caption in range(200):
        small, large = (
            np.array(crop.random_box(*shape, np.random.default_rng(caption))) / np.tile(shape, 2)
            for shape in ((256, 341), (1920, 2558))
        )
        apart.append(np.abs(small - large).max())
    assert np.mean(np.array(apart) < 1.1 / 256) >= 0.98, "a crop that just fits one may not fit the other's rounded shape"


@pytest.mark.parametrize("shape", [(1, 1), (1, 9_000), (9_000, 2), (2, 3), (5, 400)])
@pytest.mark.parametrize("scale", [(0.9, 1.0), (1.0, 1.0)])
def test_tiny_and_very_long_images_have_a_crop(shape, scale):
    pixels = picture(50, 60)[:1, :1].repeat(shape[0], 0).repeat(shape[1], 1)
    for size in ((32, 32), (16, 48)):
        cropped = Crop(size, scale, seed=0)(pixels, 0, 0)
        assert cropped.shape == (*size, 3)
        assert (cropped == pixels[0, 0]).all()
        top, left, bottom, right = centre_box(*shape, size)
        assert 0 <= top < bottom <= shape[0]
        assert 0 <= left < right <= shape[1]


@pytest.mark.parametrize(("image_format", "stated"), [("raw", 1.3), ("jpeg", 2.9)])
def test_on_real_photos_the_store_costs_as_little_as_the_docs_say(shared_data, image_format, stated):
    """Photos of about 340 x 256 pixels, stored at 256 / 480 of that; crops in proportion to 224, against the same part of the
    photo itself, cut and scaled by Pillow at once."""
    crop, differences = Crop((120, 120), (0.9, 1.0), seed=0), []
    for number, path in enumerate(sorted(shared_data("coco_mini/val2017").glob("*.jpg"))[:60]):
        original = Image.open(path).convert("RGB")
        if min(original.size) < 250:
            continue
        stored = decode(store_image(path.read_bytes(), 137, image_format).data)
        top, left, bottom, right = crop.random_box(*stored.shape[:2], stream(0, Stream.CROP, 0, number))
        across, down = original.width / stored.shape[1], original.height / stored.shape[0]
        box = (left * across, top * down, right * across, bottom * down)
        expected = np.asarray(original.resize(crop.size, Image.Resampling.BICUBIC, box=box), int)
        differences.append(np.abs(crop(stored, 0, number) - expected).mean())
    assert len(differences) > 40
    assert 0.8 * stated < np.mean(differences) < 1.1 * stated
