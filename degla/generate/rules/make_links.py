"""Makes `links.tsv` from the captions of COCO val2017, from a checkout.

    python -m degla.prepare coco -o prepare.images=none -o prepare.captions=captions_val2017.json
    python -m degla.generate.rules.make_links <the artifact's folder>/captions.parquet

`captions_val2017.json` is in annotations_trainval2017.zip of cocodataset.org. Links found twice or more stand in their words, the
others by the kinds of their things. The same captions give the same bytes.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pyarrow.parquet as pq

from degla.generate.rules.associations import KIND, SHIPPED
from degla.generate.rules.kinds import main_kind
from degla.generate.rules.links import count_links
from degla.generate.rules.phrases import Sentence
from degla.text.lexicon import Lexicon, load_lexicon

HEAD = """\
# Subject, relation, object, count: links (degla.generate.rules.links) of the 25,014 captions of COCO val2017 (CC BY 4.0,
# cocodataset.org), made by degla.generate.rules.make_links. Of what occurs once the kinds stand there, with a * before them.
"""
_LEAST = 2  # occurrences of a link, in words or of kinds


def text_of(counts: Mapping[str, int], lexicon: Lexicon) -> str:
    """The file's text, of links in words joined by tabs to how often they occur."""
    told: Counter[str] = Counter()
    for words, count in counts.items():
        subject, relation, other = words.split("\t")
        if count < _LEAST:
            subject, other = (KIND + main_kind(lexicon, noun) if noun else "" for noun in (subject, other))
        told[f"{subject}\t{relation}\t{other}"] += count
    return HEAD + "".join(f"{words}\t{count}\n" for words, count in sorted(told.items()) if count >= _LEAST)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m degla.generate.rules.make_links", description=__doc__.split("\n")[0])
    parser.add_argument("captions", type=Path, help="captions.parquet of a prepare artifact")
    captions, lexicon = pq.read_table(parser.parse_args().captions, columns=["tokens", "tags"]), load_lexicon()
    counts: Counter[str] = Counter()
    for row in captions.to_pylist():
        count_links(Sentence(tuple(row["tokens"]), tuple(row["tags"]), lexicon), counts)
    SHIPPED.write_text(text := text_of(counts, lexicon), "utf-8", newline="\n")
    print(f"{SHIPPED}: {len(text.splitlines()):,} lines of {captions.num_rows:,} captions")


if __name__ == "__main__":
    main()
