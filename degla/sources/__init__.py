"""Sources: captions, images and negatives that others wrote, read by every stage in the same way.

Read `source` (from paths to records: `recognise`, `open_source`), `records` (what every format gives), `format` and one of
`formats/` (`coco` is short, `delimited` the most used), then what formats share: `text`, `dialect`, `columns`, `json_entries`.
`folders` finds images by name, `listing` groups captions by image on disk, `sniff` tells a person, `options` is all that can be
set.
"""
