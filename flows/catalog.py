"""The flow that downloads the files of a dataset or benchmark: `python -m degla.catalog get NAME`, with retries.

prefect deployment run catalog/get -p name=sugarcrepe --watch
"""

from __future__ import annotations

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from degla.catalog import load_card
from flows.running import FLOW_OPTIONS
from tasks.catalog import get_files


@flow(name="catalog", flow_run_name="catalog-{name}", **FLOW_OPTIONS)
def catalog(name: str) -> State[str]:
    """Download the files of a card, resumed and checked. Prints the steps for files that its licence does not let a program
    download.

    Args:
        name: A card of `data_catalog/`, such as `sugarcrepe` or `coco_val2017`.
    """
    card = load_card(name)
    get_files(card.name)
    return Completed(message=f"{card.name} is in place", data=card.name)
