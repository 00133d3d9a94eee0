"""The formats that are read, each in a module of its own. To add one: write the module and name it in `FORMATS`.

Formats are asked in this order; the first that claims a file reads it, unless `format` is set. Read `coco`, whose parts all
have; `negclip` and `degla` are other formats with columns of their own.
"""

from __future__ import annotations

from degla.sources.format import Format
from degla.sources.formats.captions_by_image import CAPTIONS_BY_IMAGE
from degla.sources.formats.coco import COCO
from degla.sources.formats.degla import DEGLA
from degla.sources.formats.delimited import DELIMITED
from degla.sources.formats.flickr import FLICKR
from degla.sources.formats.image_folder import IMAGE_FOLDER
from degla.sources.formats.json_rows import JSON_LINES, JSON_ROWS
from degla.sources.formats.karpathy import KARPATHY
from degla.sources.formats.lines import LINES
from degla.sources.formats.llava import LLAVA
from degla.sources.formats.negclip import NEGCLIP
from degla.sources.formats.tables import ARROW, PARQUET
from degla.sources.formats.visual_genome import VISUAL_GENOME
from degla.sources.formats.webdataset import WEBDATASET

_IN_ORDER = (
    *(PARQUET, ARROW, WEBDATASET, IMAGE_FOLDER),
    *(KARPATHY, COCO, LLAVA, VISUAL_GENOME, CAPTIONS_BY_IMAGE, DEGLA, JSON_LINES, JSON_ROWS),
    *(FLICKR, NEGCLIP, DELIMITED, LINES),
)

FORMATS: dict[str, Format] = {each.name: each for each in _IN_ORDER}
"""By name, in the order in which they are asked."""
