"""One stage on a GPU at a time, by a limit of a real Prefect server; the GPU is pretended."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

from degla.experiments.experiment import STAGES, Experiment, load_experiment
from flows.deployments import pool_of
from flows.local.pools import create_limit
from flows.pipeline import pipeline
from tasks import gpu
from tasks.gpu import LIMIT, may_use_gpu


@pytest.mark.parametrize(
    ("overrides", "stages"),
    [
        ([], ["train", "evaluate"]),
        (["filter.veto={}"], ["filter", "train", "evaluate"]),
        (["generate.attempts=[choice]", "generate.engine.model=tiny-random-llama"], ["generate", "train", "evaluate"]),
        (["generate.attempts=[openai]", "generate.server.model=on-another-machine"], ["train", "evaluate"]),
    ],
)
def test_stages_that_may_use_a_gpu(overrides: list[str], stages: list[str]) -> None:
    experiment = Experiment(name="test").with_overrides(overrides)
    assert [stage for stage in STAGES if may_use_gpu(experiment.stage_config(stage))] == stages


def test_only_presets_for_gpus_go_to_their_pool() -> None:
    pools = {flow: pool_of(flow, load_experiment("coco")) for flow in ("pipeline", *STAGES)}
    assert [flow for flow, pool in pools.items() if pool == "gpu"] == ["pipeline", "generate", "train", "evaluate"]
    assert {pool_of(flow, load_experiment("demo")) for flow in ("pipeline", *STAGES)} == {"cpu"}


@pytest.fixture
def client(prefect_server: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[SyncPrefectClient]:
    monkeypatch.setattr(gpu, "machine_has_gpu", lambda: True)
    monkeypatch.setattr(gpu, "POLL_SECONDS", 0.2)
    with get_client(sync_client=True) as client:
        create_limit(client)
        yield client
        client.delete_global_concurrency_limit_by_name(LIMIT)


def in_use(client: SyncPrefectClient) -> int:
    return client.read_global_concurrency_limit_by_name(LIMIT).active_slots


def taken(client: SyncPrefectClient) -> gpu._Lease:
    lease = gpu._Lease(uuid4())
    assert lease.take(client)
    assert in_use(client) == 1
    return lease


@pytest.mark.slow
@pytest.mark.usefixtures("fake_stages")
def test_a_stage_waits_for_the_gpu_says_so_and_frees_it(client: SyncPrefectClient) -> None:
    held = taken(client)
    seen: list[tuple[str, int]] = []

    def let_go() -> None:
        with get_client(sync_client=True) as own:
            while not (shown := own.read_artifacts(artifact_filter=progress)):
                time.sleep(0.1)
            seen.append((shown[0].description, in_use(own)))
            held.release(own)

    progress = ArtifactFilter(key=ArtifactFilterKey(any_=["gpu-progress"]))
    thread = threading.Thread(target=let_go, daemon=True)
    thread.start()
    state = pipeline(str(Experiment(name="test").save()), stages=["prepare", "generate", "filter", "train"], return_state=True)
    thread.join(20)
    assert state.is_completed()
    assert seen == [("train waits for a GPU", 1)]
    assert in_use(client) == 0
    shown = client.read_artifacts(artifact_filter=progress)
    assert [(each.data, each.description.partition(" after")[0]) for each in shown] == [(100, "train has a GPU")]


@pytest.mark.slow
def test_a_slot_that_expired_while_the_server_was_away_is_taken_again_if_it_is_free(client: SyncPrefectClient) -> None:
    held, other = taken(client), gpu._Lease(uuid4())
    assert not other.take(client)
    assert held.renew(client)
    held.release(client)  # as the server does with a lease that nobody renews
    assert other.take(client)
    assert not held.renew(client)
    other.release(client)
    assert held.renew(client)
    assert in_use(client) == 1


@pytest.mark.slow
@pytest.mark.usefixtures("prefect_server")
def test_without_the_limit_nobody_waits() -> None:
    with get_client(sync_client=True) as client:
        lease = gpu._Lease(UUID(int=0))
        assert lease.take(client)
        assert lease.renew(client)
        lease.release(client)
