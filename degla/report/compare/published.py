"""Published rows: models of the catalog's table of published scores, a row for each source that has them."""

from __future__ import annotations

from degla.catalog.published import published_table
from degla.report.compare.runs import Figure, Model
from degla.text_files import nearest_key


def published_rows(name: str) -> list[Model]:
    """The rows of a published model: one for each source, because sources differ in their conventions; or of `NAME:SOURCE` the
    one of that source.

    Raises:
        DataError: the table has no such model or source; the nearest is named.
    """
    table = published_table()
    key, _, wanted = name.partition(":")
    model = table.models[nearest_key(list(table.models), key, "the table of published models")]
    sources = [nearest_key(list(model.scores), wanted, f"the sources of {key}")] if wanted else list(model.scores)
    return [
        Model(
            f"{key}:{source}",
            scores={metric: Figure(per_cent / 100) for metric, per_cent in model.scores[source].items()},
            source=f"{model.name}: {table.sources[source]}",
        )
        for source in sources
    ]
