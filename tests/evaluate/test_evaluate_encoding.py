"""Encoding: nothing about batches may reach a score, and what cannot be read or is cut off is known."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from encoded import Encoded, MakeEncoder
from PIL import Image, ImageOps

from degla.evaluate.benchmark import BenchmarkImage
from degla.models.loading import LoadedClip

SharedData = Callable[[str], Path]

TEXTS = [f"a {colour} {noun}" for colour in ("red", "very bright green") for noun in ("fish", "photo of a house by a lake")]


def noise_images(count: int) -> list[BenchmarkImage]:
    pixels = np.random.default_rng(0).integers(0, 256, (count, 40, 30, 3), dtype=np.uint8)
    return [BenchmarkImage(f"noise/{index}", image) for index, image in enumerate(pixels)]


def png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def test_batch_size_and_order_do_not_change_features(make_encoder: MakeEncoder) -> None:
    images = noise_images(23)
    whole, single = make_encoder(64), make_encoder(5)
    forth = whole.images(images).features
    back = single.images(images[::-1]).features[::-1]
    assert np.abs(forth - back).max() < 1e-6
    assert np.abs(whole.texts(TEXTS).features - single.texts(TEXTS[::-1]).features[::-1]).max() < 1e-6


def test_features_are_those_of_plain_open_clip(tiny_clip: LoadedClip, encoder: Encoded) -> None:
    with torch.inference_mode():
        texts = tiny_clip.model.encode_text(tiny_clip.tokenizer(TEXTS), normalize=True).numpy()
        picture = tiny_clip.preprocess(Image.fromarray(noise_images(1)[0].source))
        image = tiny_clip.model.encode_image(picture[None], normalize=True).numpy()
    assert np.abs(encoder.texts(TEXTS).features - texts).max() < 1e-6
    assert np.abs(encoder.images(noise_images(1)).features - image).max() < 1e-6


def test_equal_texts_and_images_are_encoded_once(make_encoder: MakeEncoder) -> None:
    lines: list[str] = []
    encoder = make_encoder(report=lines.append)
    features = encoder.texts([*TEXTS, *TEXTS]).features
    encoder.texts(["a new one", *TEXTS])
    images = noise_images(3)
    encoder.images([*images, *images])
    assert lines == ["tiny: 4 of 4 texts", "tiny: 1 of 1 texts", "tiny: 3 of 3 images"]
    assert np.array_equal(features[:4], features[4:])


def test_only_texts_longer_than_the_context_are_called_truncated(tiny_clip: LoadedClip, encoder: Encoded) -> None:
    texts = [" ".join(["fish"] * count) for count in (10, 75, 76)]  # with start and end 12, 77 and 78 tokens; 77 is the context
    assert encoder.texts(texts).truncated.tolist() == [False, False, True]
    assert (tiny_clip.tokenizer(texts)[2] == tiny_clip.tokenizer(texts)[1]).all()


def test_files_bytes_and_arrays_of_one_picture_have_one_feature(encoder: Encoded, tmp_path: Path) -> None:
    pixels = noise_images(1)[0].source
    encoded = png(Image.fromarray(pixels))
    (tmp_path / "a.png").write_bytes(encoded)
    sources = [pixels, encoded, tmp_path / "a.png"]
    features = encoder.images([BenchmarkImage(str(index), source) for index, source in enumerate(sources)]).features
    assert np.abs(features - features[0]).max() < 1e-6


def test_grey_and_transparent_pictures_are_read_as_rgb() -> None:
    for mode in ("L", "LA", "RGBA", "P", "CMYK"):
        image = Image.new(mode, (8, 8))
        stream = io.BytesIO()
        image.save(stream, "TIFF")
        assert BenchmarkImage(mode, stream.getvalue()).open().mode == "RGB"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photos_are_upright_as_training_sees_them(orientation: int, shared_data: SharedData, tmp_path: Path) -> None:
    (photo, *_) = sorted(shared_data("coco_mini/val2017").glob("*.jpg"))
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "turned.jpg"
    Image.open(photo).save(path, exif=exif)
    upright = ImageOps.exif_transpose(Image.open(path))
    box = (10, 20, 200, 150)
    for source in (path, path.read_bytes()):
        assert np.array_equal(np.asarray(BenchmarkImage("a", source).open()), np.asarray(upright))
        assert np.array_equal(np.asarray(BenchmarkImage("a", source, box).open()), np.asarray(upright.crop(box)))


def test_missing_and_broken_images_are_named_and_the_others_encoded(encoder: Encoded, tmp_path: Path) -> None:
    whole = png(Image.fromarray(noise_images(1)[0].source))
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.jpg").write_text("not an image")
    (tmp_path / "folder.jpg").mkdir()
    names = ["gone.jpg", "cut.png", "text.jpg", "folder.jpg"]
    images = [*(BenchmarkImage(name, tmp_path / name) for name in names), *noise_images(2)]
    result = encoder.images(images)
    found = {images[index].id: problem.status for index, problem in result.problems.items()}
    assert found == dict(zip(names, ["missing", "undecodable", "undecodable", "missing"], strict=True))
    assert not result.features[:4].any()
    assert np.abs(result.features[4:] - encoder.images(noise_images(2)).features).max() == 0


def test_the_process_keeps_its_number_of_threads(encoder: Encoded) -> None:
    before = torch.get_num_threads()
    encoder.texts(TEXTS)
    assert torch.get_num_threads() == before
