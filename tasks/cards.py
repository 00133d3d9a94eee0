"""The cards of a run in the dashboard: its overview, then one for each stage; and the progress of the stage that runs.

Both of Prefect's dashboards list the artifacts of a run by their ids, the greatest first, and the server draws an id at random. A
card is drawn again until its id is between that of the card before it and what those after it need: about four times.

Prefect's own functions send what they create or change as an event too, which the database keeps for a week: the losses of a
training, redrawn every few seconds, came to megabytes. So the requests are made here, and a card is created empty.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect import runtime
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, ArtifactFilterKey
from prefect.client.schemas.sorting import ArtifactSort

from degla.experiments.experiment import STAGES

OVERVIEW, STUDY = "overview", "study"
ORDER = (OVERVIEW, *STAGES, STUDY)
_IDS = 1 << 128
_TRIES = 40
_LOOKED_AT = 5
_OF = "artifact"  # in a card's metadata: the folder of the artifact that it shows


def put(key: str, line: str, text: str | None = None, of: Path | None = None) -> UUID:
    """Show a card of the current run, or change it.

    Args:
        key: one of `ORDER`.
        line: its description, of which a list of cards shows the first line.
        text: Markdown; None leaves it as it is.
        of: the artifact that it shows in full.
    """
    with get_client(sync_client=True) as client:
        cards = _of_run(client, ORDER)
        card = cards[key][0] if len(cards.get(key, [])) == 1 else _draw(client, key, cards)
    change(card, description=line, **({} if text is None else {"data": text}), **({"metadata_": {_OF: str(of)}} if of else {}))
    return card


def put_progress(stage: str, line: str, percent: float) -> UUID:
    """Show the progress of a stage of the current run, or change it: a ring in the run's graph."""
    key = f"{stage}-progress"
    with get_client(sync_client=True) as client:
        card = next(iter(_of_run(client, [key]).get(key, [])), None) or _create(client, key, "progress", percent)
    change(card, description=line, data=percent)
    return card


def end_progress(stage: str) -> None:
    """Remove the progress of a finished stage; its card says that it is finished."""
    with get_client(sync_client=True) as client:
        for card in _of_run(client, [f"{stage}-progress"]).get(f"{stage}-progress", []):
            client.delete_artifact(card)


def change(card: UUID, **values: Any) -> None:
    """Change the `description`, `data` or `metadata_` of a card."""
    with get_client(sync_client=True) as client:
        client.request("PATCH", "/artifacts/{id}", path_params={"id": card}, json=values)


def find(key: str, of: Path) -> UUID | None:
    """The card that shows an artifact in full, of this run or an earlier one; None if the last five show others."""
    with get_client(sync_client=True) as client:
        cards = client.read_artifacts(
            artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key])), sort=ArtifactSort.CREATED_DESC, limit=_LOOKED_AT
        )
    return next((card.id for card in cards if (card.metadata_ or {}).get(_OF) == str(of)), None)


def _of_run(client: SyncPrefectClient, keys: Iterable[str]) -> dict[str, list[UUID]]:
    """Key to the cards of the run; several of a key if the server failed while they were drawn."""
    own = ArtifactFilter(
        key=ArtifactFilterKey(any_=list(keys)), flow_run_id=ArtifactFilterFlowRunId(any_=[UUID(str(runtime.flow_run.id))])
    )
    found: dict[str, list[UUID]] = {}
    for card in client.read_artifacts(artifact_filter=own):
        found.setdefault(str(card.key), []).append(card.id)
    return found


def _draw(client: SyncPrefectClient, key: str, cards: Mapping[str, Sequence[UUID]]) -> UUID:
    """Create a card with an id in its place."""
    place, drawn = ORDER.index(key), list(cards.get(key, []))
    low = max([_IDS * (len(ORDER) - 1 - place) // len(ORDER), *(_ids(cards, ORDER[place + 1 :]))])
    high = min([_IDS, *_ids(cards, ORDER[:place])])
    while not (fitting := [card for card in drawn if low <= card.int < high]) and len(drawn) < _TRIES:
        drawn.append(_create(client, key, "markdown", ""))
    card = fitting[0] if fitting else drawn[-1]
    for other in drawn:  # afterwards: the newest of a key cannot go without an event that holds all of the one before it
        if other != card:
            client.delete_artifact(other)
    return card


def _ids(cards: Mapping[str, Sequence[UUID]], keys: Iterable[str]) -> list[int]:
    return [card.int for key in keys for card in cards.get(key, [])]


def _create(client: SyncPrefectClient, key: str, kind: str, data: Any) -> UUID:
    runs = {"flow_run_id": str(runtime.flow_run.id), "task_run_id": runtime.task_run.id and str(runtime.task_run.id)}
    made = client.request("POST", "/artifacts/", json={"key": key, "type": kind, "data": data, **runs})
    return UUID(made.json()["id"])
