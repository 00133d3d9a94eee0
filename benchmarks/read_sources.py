"""Reading others' captions out of core: a set of Parquet files and a tar of images, larger than what reading them may take.

    make bench NAME=read_sources
    python -m benchmarks.read_sources [--parquet-mb 400] [--tar-mb 1000]

Makes the data in a temporary folder. Each reading is a process of its own, whose seconds, CPU seconds and peak memory are
measured: the records alone; the listing that prepare makes, grouped by image on disk; pandas, which groups in memory; and every
image of the tar read from where it lies.
"""

from __future__ import annotations

import argparse
import io
import resource
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

PARTS = 8
CAPTIONS = 5  # of an image
IMAGE_BYTES = 100_000
WORDS = 20_000  # of the vocabulary: text must not compress better than people's

_ROWS = 50_000  # drawn at once


class Figures(NamedTuple):
    """What a reading took."""

    seconds: float
    cpu_seconds: float
    peak_mb: float


def make_parquet(folder: Path, size: int) -> int:
    """Captions of images in parts, of this size in bytes together; returns how many captions."""
    folder.mkdir()
    rng, row = np.random.default_rng(0), 0
    words = np.array(["".join(letters) for letters in rng.choice(list("abcdefghijklmnopqrstuvwxyz"), (WORDS, 5))])
    for part in range(PARTS):
        path = folder / f"part-{part:05d}.parquet"
        schema = pa.schema([("image", pa.string()), ("caption", pa.string())])
        with pq.ParquetWriter(path, schema) as writer:
            while path.stat().st_size < size / PARTS:
                captions = [" ".join(own) for own in rng.choice(words, (_ROWS, 12))]
                images = [f"images/{(row + number) // CAPTIONS:09d}.jpg" for number in range(_ROWS)]
                writer.write_table(pa.table({"image": images, "caption": captions}))
                row += _ROWS
    return row


def make_tar(path: Path, size: int) -> int:
    """Samples of random bytes in place of a JPEG, and a text; returns how many."""
    rng, number = np.random.default_rng(0), 0
    with tarfile.open(path, "w") as file:
        while path.stat().st_size < size:
            for suffix, data in (("jpg", rng.bytes(IMAGE_BYTES)), ("txt", b"a red dog on the table")):
                member = tarfile.TarInfo(f"{number:09d}.{suffix}")
                member.size = len(data)
                file.addfile(member, io.BytesIO(data))
            number += 1
    return number


def read_records(path: Path) -> None:
    """The records of a source, one after another."""
    from degla.sources.source import open_source

    for _ in open_source(path):
        pass


def list_images(path: Path) -> None:
    """The listing of a source."""
    from degla.sources.listing import write_listing
    from degla.sources.source import open_source

    with tempfile.TemporaryDirectory() as folder:
        write_listing(open_source(path), None, Path(folder, "listing.arrow"))


def load_images(path: Path) -> None:
    """The listing of a source, and then every image."""
    from degla.sources.listing import Listing, write_listing
    from degla.sources.source import open_source

    with tempfile.TemporaryDirectory() as folder:
        write_listing(open_source(path), None, Path(folder, "listing.arrow"))
        listing = Listing(Path(folder, "listing.arrow"))
        for image in listing.read(0, len(listing)):
            assert image.bytes is not None
            assert len(image.bytes.read()) == IMAGE_BYTES


def read_with_pandas(path: Path) -> None:
    """The same groups in memory."""
    import pandas

    pandas.read_parquet(path).groupby("image", sort=False)["caption"].agg(list)


def measured(task: Callable[[Path], None], path: Path) -> Figures:
    """A task in a process of its own."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(_measure, task, path).result()


def _measure(task: Callable[[Path], None], path: Path) -> Figures:
    start, cpu = time.perf_counter(), time.process_time()
    task(path)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Figures(time.perf_counter() - start, time.process_time() - cpu, peak / (1e6 if sys.platform == "darwin" else 1e3))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parquet-mb", type=int, default=400)
    parser.add_argument("--tar-mb", type=int, default=1000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="read_sources-") as place:
        parquet, tar = Path(place, "parquet"), Path(place, "00000.tar")
        captions = make_parquet(parquet, options.parquet_mb * 1_000_000)
        images = make_tar(tar, options.tar_mb * 1_000_000)
        print(f"{options.parquet_mb} MB of Parquet: {captions:,} captions; {options.tar_mb} MB of tar: {images:,} images\n")
        print(f"{'':<32} {'seconds':>8} {'CPU s':>7} {'peak MB':>8}")
        records = _row("Parquet, records", read_records, parquet)
        listing = _row("Parquet, listing", list_images, parquet)
        pandas = _row("Parquet, pandas", read_with_pandas, parquet)
        tar_listing = _row("tar, listing", list_images, tar)
        loading = _row("tar, listing and every image", load_images, tar)
    print(
        f"read_sources captions={captions} records_peak_mb={records.peak_mb:.0f} listing_cpu_s={listing.cpu_seconds:.0f}"
        f" listing_peak_mb={listing.peak_mb:.0f} pandas_peak_mb={pandas.peak_mb:.0f} images={images}"
        f" tar_listing_cpu_s={tar_listing.cpu_seconds:.1f} tar_peak_mb={loading.peak_mb:.0f}"
    )


def _row(name: str, task: Callable[[Path], None], path: Path) -> Figures:
    figures = measured(task, path)
    print(f"{name:<32} {figures.seconds:>8.1f} {figures.cpu_seconds:>7.1f} {figures.peak_mb:>8.0f}", flush=True)
    return figures


if __name__ == "__main__":
    main()
