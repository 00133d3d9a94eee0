"""The real files of the field, if they are here, against counts that others published."""

import csv

import pytest
from source_files import negatives, pairs, read


@pytest.mark.parametrize(
    ("relative", "records", "captions", "num_negatives"),
    [
        ("coco_captions_val2017", 25_014, 25_014, 0),
        ("coco_mini/captions_train2017.json", 130, 650, 0),
        ("sugarcrepe/swap_obj.json", 245, 245, 245),
    ],
)
def test_published_counts(shared_data, relative, records, captions, num_negatives):
    found = read(shared_data(relative))
    assert (len(found), sum(len(each.captions) for each in found)) == (records, captions)
    assert sum(len(each.negatives) for each in found) == num_negatives


def test_negclips_file_is_what_pandas_reads(shared_data):
    import pandas

    path = next(shared_data("negclip_valid").glob("*.tsv"))
    table = pandas.read_csv(path, sep="\t")
    assert [caption for _, caption in pairs(path)] == [" ".join(title.split()) for title in table["title"]]
    assert len(negatives(path)) == 7370


def test_flickr8ks_table_is_what_csv_reads(shared_data):
    path = shared_data("flickr8k_224/captions.tsv")
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert pairs(path) == [(row["image"], " ".join(row["caption"].split())) for row in rows]


def test_karpathys_test_split_has_its_25010_captions(shared_data):
    path = next(shared_data("coco_karpathy_test").glob("*.json"))
    assert len(pairs(path)) in (25_000, 25_010)
