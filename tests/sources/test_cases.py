"""Files that people brought, if they are here: `../shared/cases`, or the folder that DEGLA_TEST_CASES names."""

import os
from pathlib import Path

import pytest
from source_files import negatives, pairs, read

from degla.errors import DataError
from degla.sources.source import open_source

CASES = Path(os.environ.get("DEGLA_TEST_CASES") or Path(__file__).resolve().parents[3] / "shared" / "cases")


def case(relative):
    path = CASES / relative
    if not path.exists():
        pytest.skip(f"not here: {path} (set DEGLA_TEST_CASES to the folder of the cases)")
    return path


@pytest.mark.parametrize(
    ("relative", "format_", "images", "captions"),
    [
        ("01-karpathy-json/dataset_coco.json", "karpathy", 4, 6),
        ("01-karpathy-json/dataset_flickr8k.json", "karpathy", 4, 6),
        ("02-flickr8k-token/Flickr8k.token.txt", "flickr", 3, 4),
        ("04-kaggle-captions-txt/captions.txt", "delimited", 2, 3),
        ("05-cc3m-tsv/Train_GCC-training.tsv", "delimited", 2, 2),
        ("06-laion-parquet/part-00000.parquet", "parquet", 2, 2),
        ("07-webdataset-tar/00000.tar", "webdataset", 2, 2),
        ("07-webdataset-tar", "webdataset", 2, 2),
        ("08-hf-imagefolder-jsonl/metadata.jsonl", "json_lines", 2, 2),
        ("08-hf-imagefolder-jsonl/metadata.csv", "delimited", 2, 2),
        ("08-hf-imagefolder-jsonl/wide.csv", "delimited", 2, 4),
        ("09-llava-json/llava.json", "llava", 1, 1),
        ("10-vg-regions/region_descriptions.json", "visual_genome", 1, 2),
        ("11-coco-variants/bigids.json", "coco", 2, 2),
        ("11-coco-variants/nocaptions.json", "coco", 1, 1),
        ("11-coco-variants/null.json", "coco", 1, 1),
        ("11-coco-variants/samefile.json", "coco", 2, 2),
        ("17-negclip-as-dataset/head.tsv", "negclip", 20, 20),
        ("18-odd-captions/captions.tsv", "delimited", 35, 35),
        ("24-long-captions/captions.tsv", "delimited", 3, 3),
        ("model-10-caption-tables/captions.txt", "delimited", 24, 48),
        ("model-10-caption-tables/results.csv", "delimited", 24, 48),
        ("model-10-caption-tables/openclip_tab.csv", "delimited", 24, 48),
        ("model-11-karpathy-original/coco_test_karpathy.json", "coco", 24, 48),
        ("model-11-karpathy-original/dataset_coco.json", "karpathy", 24, 48),
        ("model-12-absolute-paths-stale/outside.tsv", "delimited", 2, 2),
    ],
)
def test_a_file_that_people_bring_is_read(relative, format_, images, captions):
    path = case(relative)
    assert open_source(path).recognised.format.name == format_
    found = pairs(path)
    assert (len({image for image, _ in found}), len(found)) == (images, captions)


@pytest.mark.parametrize(
    ("relative", "message"),
    [
        ("03-flickr30k-results/results.csv", "line 4: 2 fields, the first row has 3"),
        ("11-coco-variants/captionlist.json", r"annotations\[0\]: caption is \["),
        ("11-coco-variants/dupimage.json", r"images\[1\]: the id 1 comes twice: im0.jpg and im1.jpg"),
        ("11-coco-variants/floatids.json", "'id' is 1.0"),
        ("11-coco-variants/instances.json", "caption is missing"),
        ("11-coco-variants/nocaps_test_image_info.json", "`annotations` is empty"),
        ("11-coco-variants/zeropad.json", "is of image 42, which `images` does not list"),
        ("13-pandas-tsv-quotes/latin1.csv", "line 2: byte 0xe9 is not UTF-8"),
        ("13-pandas-tsv-quotes/quote_mid.csv", "line 2: a quote does not close"),
    ],
)
def test_a_file_that_is_wrong_is_named(relative, message):
    with pytest.raises(DataError, match=message):
        read(case(relative))


STOP = 'A sign says "STOP" above a red car'


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("captions.csv", STOP),
        ("captions.tsv", STOP),
        ("captions_no_tab.tsv", STOP),
        ("escaped.csv", STOP),
        ("Header.csv", "A red chair by a blue door"),
        ("header_space.csv", "A red chair by a blue door"),
        ("semicolon.csv", "A red chair by a blue door"),
        ("utf16.tsv", "A red chair by a blue door"),
    ],
)
def test_quotes_and_headers_of_tables(name, first):
    assert pairs(case(f"13-pandas-tsv-quotes/{name}"))[0] == ("im0.jpg", first)


@pytest.mark.parametrize(
    ("name", "options", "count"),
    [
        ("negatives.jsonl", {}, 6),
        ("negatives_raw.tsv", {}, 6),
        ("negatives_raw2.tsv", {}, 5),
        ("structs.parquet", {}, 6),
        ("pandas_category.parquet", {}, 6),
        ("ce_clip.parquet", {}, 9),  # ### and <mask> stand for none
        ("distilabel.parquet", {"negative_column": "generation"}, 6),
    ],
)
def test_negatives_in_every_form(name, options, count):
    found = negatives(case(f"14-import-tables/{name}"), **options)
    assert len(found) == count
    assert found[0][0] == '"Stop" reads a blue sign above a red car'


def test_the_same_text_is_read_alike_as_captions_and_with_negatives():
    captions = pairs(case("14-import-tables/captions.tsv"))
    assert captions == pairs(case("14-import-tables/negatives_raw.tsv"))
