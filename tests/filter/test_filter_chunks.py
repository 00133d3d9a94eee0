"""Judging in chunks: no image is cut, and chunks, threads, order and a small memory change nothing in the result."""

import random
from collections import Counter, defaultdict

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from caption_tables import prepare_artifact

from degla.artifacts import Artifact, Building
from degla.database import connect
from degla.errors import StorageError
from degla.filter import FilterConfig
from degla.filter.rules import DUPLICATE, NEW_FOR_IMAGE, RULES, WITHIN_QUOTA
from degla.filter.sieve import find_chunks
from degla.filter.stage import filter_rewrites
from degla.generate import GenerateConfig
from degla.judge.rules import Rule
from degla.negative_types import NEGATIVE_TYPES
from degla.schemas import CAPTIONS, REWRITES, write_table

pytestmark = pytest.mark.slow

NOUNS = ["dog", "cat", "man", "woman", "cup", "table", "horse", "ball"]
ADJECTIVES = ["red", "blue", "big", "small"]
JOINTS = [("on", "PRP"), ("near", "PRP"), ("and", "CJC"), ("holds", "VVZ")]
KEEP_ALL = Rule("any", NEGATIVE_TYPES, "true", "test", "form")


def random_captions(rng, num_images, num_words=8):
    """Captions with their tags, one to six an image."""
    rows = []
    for image in range(num_images):
        for _ in range(rng.randint(1, 6)):
            words = []
            for part in range(2):
                words += [("a", "AT0"), (rng.choice(ADJECTIVES[:num_words]), "AJ0"), (rng.choice(NOUNS[:num_words]), "NN1")]
                words += [rng.choice(JOINTS)] if part == 0 else []
            tokens, tags = map(list, zip(*words, strict=True))
            row = {"caption_id": len(rows), "image_id": f"image-{image}", "caption": " ".join(tokens)}
            rows.append(row | {"tokens": tokens, "tags": tags, "lemmas": tokens})
    return rows


def random_rewrites(rng, captions, candidates=2):
    """Two texts of each type for each caption: mostly an edit of two words, now and then anything."""
    rows = []
    for caption in captions:
        for kind in NEGATIVE_TYPES:
            for candidate in range(candidates):
                words = list(caption["tokens"])
                i, j = rng.sample([1, 2, 5, 6], 2)
                if kind.startswith("replace"):
                    words[i] = rng.choice(NOUNS + ADJECTIVES)
                elif rng.random() < 0.9:
                    words[i], words[j] = words[j], words[i]
                else:
                    rng.shuffle(words)
                text = " ".join(words) if rng.random() < 0.95 else None
                row = {"caption_id": caption["caption_id"], "type": kind, "candidate": candidate, "text": text}
                rows.append(row | {"status": "ok" if text else "failed", "generator": rng.choice(["rules", "vllm:tiny"])})
    shared = {"attempt": 1, "seed": 7, "model_sha": "0"}
    return [row | shared for row in rows]


def made(folder, captions, rewrites, parts=1) -> dict[str, Artifact]:
    names = [f"rewrites/part-{k:05d}.parquet" for k in range(parts)]
    for k, name in enumerate(names):
        write_table(folder / "generate" / name, pa.Table.from_pylist(rewrites[k::parts], schema=REWRITES), REWRITES)
    prepared = prepare_artifact(folder / "prepare", pa.Table.from_pylist(captions, schema=CAPTIONS))
    return {"prepare": prepared, "generate": Building(folder / "generate", GenerateConfig(), {}, {}, "1" * 16).finish({}, names)}


def judged(folder, inputs, chunk_rows=None, rules=RULES, **settings):
    config = FilterConfig(min_kept_fraction=0, **settings)
    return filter_rewrites(config, inputs, folder / "filter", rules=rules, chunk_rows=chunk_rows)


@pytest.fixture(scope="module")
def dataset():
    rng = random.Random(5)
    captions = random_captions(rng, 40)
    return captions, random_rewrites(rng, captions)


@pytest.fixture(scope="module")
def whole(dataset, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return judged(folder, made(folder, *dataset), threads=1)


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
@pytest.mark.parametrize("grouped", [True, False])
def test_chunks_follow_each_other_and_hold_whole_images(size, grouped):
    rng = random.Random(size)
    images = [row["image_id"] for row in random_captions(rng, 30)]
    if not grouped:  # now and then a caption of an image far away
        for _ in range(3):
            images[rng.randrange(len(images))] = rng.choice(images)
    chunks = chunks_of(images, size)
    assert [chunk.start for chunk in chunks] == [0, *(chunk.stop for chunk in chunks[:-1])]
    assert chunks[-1].stop == len(images)
    homes = defaultdict(set)
    for chunk in chunks:
        for image in images[chunk.start : chunk.stop]:
            homes[image].add(chunk)
    assert all(len(home) == 1 for home in homes.values())
    if grouped:
        assert max(chunk.stop - chunk.start for chunk in chunks) < size / 3 + 6
        assert len(chunks) == 1 or size < 1000


def chunks_of(images, size=None, memory_limit="1GB"):
    """Of captions of these images, with two texts each."""
    with connect(threads=1, memory_limit=memory_limit) as database:
        database.register("all_captions", pa.table({"caption_id": range(len(images)), "image_id": images}))
        database.register("texts", pa.table({"caption_id": [*range(len(images))] * 2}))
        return find_chunks(database, size)


def test_the_size_of_a_chunk_follows_the_memory():
    images = [str(number) for number in range(10_000)]
    sizes = [chunk.stop - chunk.start for chunk in chunks_of(images, memory_limit="20MB")]
    assert all(1500 < size <= 1700 for size in sizes[:-1])
    assert 6 <= len(sizes) <= 7


@pytest.mark.parametrize(("size", "threads"), [(80, 1), (400, 3)])
def test_neither_chunks_nor_threads_nor_order_change_a_byte(tmp_path, dataset, whole, size, threads):
    captions, rewrites = dataset
    rng = random.Random(size)
    shuffled = [rng.sample(rows, len(rows)) for rows in (captions, rewrites)]
    found = judged(tmp_path, made(tmp_path, *shuffled, parts=3), size, threads=threads)
    assert found.manifest.files == whole.manifest.files
    assert Counter(row["rule"] for row in pq.read_table(whole.file("rejected.parquet")).to_pylist()).total() > 500


def test_rows_stand_in_order_of_caption_type_and_candidate(whole):
    for name in ("training.parquet", "rejected.parquet"):
        rows = pq.read_table(whole.file(name)).to_pylist()
        keys = [
            (row["caption_id"], *((NEGATIVE_TYPES.index(row["type"]), row["candidate"]) if "type" in row else ())) for row in rows
        ]
        assert keys == sorted(keys)


def test_rules_on_whole_images_are_those_of_a_slow_search(tmp_path):
    rng = random.Random(6)
    captions = random_captions(rng, 20, num_words=2)
    rewrites = random_rewrites(rng, captions)
    artifact = judged(tmp_path, made(tmp_path, captions, rewrites), 100, [KEEP_ALL], max_per_type=3)
    found = {
        (row["caption_id"], row["type"], row["candidate"]): row["rule"]
        for row in pq.read_table(artifact.file("rejected.parquet")).to_pylist()
    }
    assert found == refused_slowly(captions, rewrites, quota=3)
    assert set(found.values()) == {DUPLICATE.name, NEW_FOR_IMAGE.name, WITHIN_QUOTA.name}


def refused_slowly(captions, rewrites, quota):
    source = {row["caption_id"]: row for row in captions}
    texts = [row for row in rewrites if row["text"]]
    texts.sort(key=lambda row: (row["caption_id"], NEGATIVE_TYPES.index(row["type"]), row["candidate"]))
    key = lambda row: (row["caption_id"], row["type"], row["candidate"])  # noqa: E731
    said = lambda row: " ".join(word for word in row["text"].split() if word != "a")  # noqa: E731
    refused, of_caption, of_image, counts = {}, set(), {}, Counter()
    for row in texts:
        if (mark := (row["caption_id"], said(row))) in of_caption:
            refused[key(row)] = DUPLICATE.name
        of_caption.add(mark)
    for row in texts:
        caption = source[row["caption_id"]]
        if (
            key(row) not in refused
            and of_image.setdefault((caption["image_id"], said(row)), caption["caption"]) != caption["caption"]
        ):
            refused[key(row)] = NEW_FOR_IMAGE.name
    for row in sorted(texts, key=lambda row: (row["candidate"], row["caption_id"])):
        if key(row) not in refused:
            counts[place := (source[row["caption_id"]]["image_id"], row["type"])] += 1
            if counts[place] > quota:
                refused[key(row)] = WITHIN_QUOTA.name
    return refused


def test_a_small_memory_spills_and_changes_nothing(tmp_path):
    rng = random.Random(9)
    captions = random_captions(rng, 1500)
    rewrites = random_rewrites(rng, captions, candidates=8)
    inputs = made(tmp_path / "inputs", captions, rewrites)
    small, large = (judged(tmp_path / limit, inputs, memory_limit=limit, threads=2) for limit in ("200MB", "1GB"))
    assert small.manifest.files == large.manifest.files


def test_too_small_a_memory_is_named(tmp_path, dataset):
    with pytest.raises(StorageError, match=r"DuckDB ran out of memory: .*\. Raise memory_limit"):
        judged(tmp_path, made(tmp_path, *dataset), memory_limit="1MB")
