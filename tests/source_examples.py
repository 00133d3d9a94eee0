"""An example of each format that `docs/data.md` shows: small files of our own, in the form that people bring."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from source_files import jpeg, tar, written

BOY, DOG, PONY = "A boy in a red cap throws a ball", "A dog waits for a red ball", "Two girls ride a brown pony"


def photos(folder: Path, *names: str) -> None:
    for name in names or ("im0.jpg", "im1.jpg"):
        written(folder / name, jpeg())


def bar(folder: Path) -> Path:
    photos(folder / "holiday" / "images")
    return written(folder / "holiday" / "captions.csv", f"photo|caption\nim0.jpg|{BOY}\nim0.jpg|{DOG}\nim1.jpg|{PONY}\n")


def kaggle(folder: Path) -> Path:
    photos(folder / "Images")
    return written(folder / "captions.txt", f'image,caption\nim0.jpg,{BOY}\nim0.jpg,"{DOG} , eager ."\nim1.jpg,{PONY}\n')


def results(folder: Path) -> Path:
    photos(folder / "flickr30k_images")
    return written(folder / "results.csv", f"image_name| comment_number| comment\nim0.jpg| 0| {BOY} .\nim1.jpg| 0| {PONY} .\n")


def cc3m(folder: Path) -> Path:
    rows = f"{BOY.lower()}\thttp://example.invalid/a/1.jpg\n{PONY.lower()}\thttp://example.invalid/b/2.jpg?x=1\n"
    return written(folder / "Train_GCC-training.tsv", rows)


def negclip(folder: Path) -> Path:
    negative = "['A ball in a red cap throws a boy', 'A cap in a red boy throws a ball']"
    return written(folder / "train_neg_clip.tsv", f"\ttitle\tfilepath\tneg_caption\n0\t{BOY}\tcoco/val2014/im0.jpg\t{negative}\n")


def flickr8k(folder: Path) -> Path:
    photos(folder / "Flicker8k_Dataset")
    return written(folder / "Flickr8k.token.txt", f"im0.jpg#0\t{BOY} .\nim0.jpg#1\t{DOG} .\nim1.jpg#0\t{PONY} .\n")


def karpathy(folder: Path) -> Path:
    photos(folder, "train2014/im0.jpg", "val2014/im1.jpg", "val2014/im2.jpg")
    images = [
        {"filepath": place, "filename": name, "split": split, "sentences": [{"raw": text}]}
        for place, name, split, text in [
            ("train2014", "im0.jpg", "train", BOY),
            ("val2014", "im1.jpg", "restval", PONY),
            ("val2014", "im2.jpg", "test", DOG),
        ]
    ]
    return written(folder / "dataset_coco.json", {"images": images, "dataset": "coco"})


def coco(folder: Path) -> Path:
    photos(folder / "train2017")
    images = [{"id": number, "file_name": f"im{number}.jpg"} for number in (0, 1)]
    captions = [{"id": 7, "image_id": 0, "caption": BOY}, {"id": 8, "image_id": 1, "caption": PONY}]
    return written(folder / "captions_train2017.json", {"images": images, "annotations": captions})


def by_image(folder: Path) -> Path:
    photos(folder / "images")
    return written(folder / "captions.json", {"im0.jpg": [BOY, DOG], "im1.jpg": [PONY]})


def json_rows(folder: Path) -> Path:
    photos(folder / "images")
    rows = [{"image": "im0.jpg", "caption": BOY, "negatives": [{"text": PONY, "type": "replace_nouns"}]}]
    return written(folder / "rows.json", rows)


def degla(folder: Path) -> Path:
    return written(folder / "degla.json", [{"image_id": 57870, "original": BOY, "enhanced": [DOG, PONY]}])


def llava(folder: Path) -> Path:
    photos(folder / "images")
    turns = {"conversations": [{"from": "human", "value": "<image>\nDescribe it."}, {"from": "gpt", "value": f"{BOY}."}]}
    return written(folder / "llava.json", [{"id": "1", "image": "im0.jpg"} | turns, {"id": "2"} | turns])


def visual_genome(folder: Path) -> Path:
    photos(folder, "VG_100K/1.jpg", "VG_100K_2/2.jpg")
    phrases = {1: "the clock is green", 2: "a man in a helmet"}
    rows = [{"id": number, "regions": [{"phrase": text}]} for number, text in phrases.items()]
    return written(folder / "region_descriptions.json", rows)


def hugging_face(folder: Path) -> Path:
    photos(folder / "train")
    rows = [{"file_name": "im0.jpg", "text": BOY}, {"file_name": "im1.jpg", "text": PONY}]
    written(folder / "train" / "metadata.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    return folder / "train"


def laion(folder: Path) -> Path:
    urls = ["http://example.invalid/1.jpg", "http://example.invalid/2.jpg"]
    columns = {"URL": urls, "TEXT": [BOY, None], "similarity": [0.3, 0.2]}
    pq.write_table(pa.table(columns), folder / "part-00000.parquet")
    return folder / "part-00000.parquet"


def hf_parquet(folder: Path) -> Path:
    (folder / "dataset").mkdir()
    images = [{"bytes": jpeg(), "path": f"im{number}.jpg"} for number in (0, 1)]
    pq.write_table(pa.table({"image": images, "captions": [[BOY, DOG], [PONY]]}), folder / "dataset" / "train-00000.parquet")
    return folder / "dataset"


def saved_to_disk(folder: Path) -> Path:
    """As `datasets.DatasetDict.save_to_disk` writes it."""
    written(folder / "dataset" / "dataset_dict.json", json.dumps({"splits": ["train", "test"]}))
    for split, text in (("train", BOY), ("test", PONY)):
        rows = pa.table({"image": [{"bytes": jpeg(), "path": f"{split}0.jpg"}], "caption": [text]})
        written(folder / "dataset" / split / "state.json", json.dumps({"_split": split}))
        with pa.ipc.new_stream(folder / "dataset" / split / "data-00000-of-00001.arrow", rows.schema) as stream:
            stream.write_table(rows)
    return folder / "dataset"


def ce_clip(folder: Path) -> Path:
    columns = {"image_file": ["im0.jpg"], "caption": [BOY], "relation_aug_caption": [DOG], "adj_aug_caption": ["###"]}
    pq.write_table(pa.table(columns), folder / "ce_clip.parquet")
    return folder / "ce_clip.parquet"


def shards(folder: Path) -> Path:
    for shard in (0, 1):
        tar(folder / "shards" / f"{shard:05d}.tar", {f"{shard}.jpg": jpeg(), f"{shard}.txt": (BOY, PONY)[shard]})
    return folder / "shards"


def beside(folder: Path) -> Path:
    for number, text in enumerate((f"{BOY}\n{DOG}", PONY)):
        photos(folder / "photos", f"im{number}.jpg")
        written(folder / "photos" / f"im{number}.txt", text)
    return folder / "photos"


EXAMPLES: dict[str, Callable[[Path], Path]] = {
    each.__name__: each
    for each in (
        *(bar, kaggle, results, cc3m, flickr8k, karpathy, coco, by_image, json_rows, llava, visual_genome, hugging_face),
        *(laion, hf_parquet, saved_to_disk, shards, beside, negclip, degla, ce_clip),
    )
}
"""By the name that the document gives it."""
