"""Hostfiles as DeepSpeed reads them, and the wrong ones refused with their line."""

import pytest
from deepspeed.launcher.runner import fetch_hostfile

from degla.errors import ConfigError, LostRankError, MissingInputError
from degla.train import TrainConfig, launch
from degla.train.nodes import node_rank, ranks_by_node, read_hostfile

HOSTS = "# two machines\nnode-0 slots=8\n\nnode-1   slots=4\n"


@pytest.fixture
def hostfile(tmp_path):
    path = tmp_path / "hosts.txt"
    path.write_text(HOSTS)
    return path


def test_a_hostfile_is_read_as_deepspeed_reads_it(hostfile):
    assert read_hostfile(hostfile) == dict(fetch_hostfile(str(hostfile))) == {"node-0": 8, "node-1": 4}


def test_the_user_of_a_host_is_dropped(hostfile):
    hostfile.write_text("root@localhost slots=1\nme@node-1 slots=2\n")
    assert read_hostfile(hostfile) == {"localhost": 1, "node-1": 2}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("me@node-0 slots=8\nyou@node-0 slots=8", "line 2.*each host once"),
        ("@node-0 slots=8", "line 1"),
        ("node-0 slots=8\nnode-1", "line 2: expected `HOST slots=RANKS`.*'node-1'"),
        ("node-0 slots=8\nnode-0 slots=8", "line 2.*each host once"),
        ("node-0 slots=0", "line 1"),
        ("# nothing", "names no machine"),
    ],
)
def test_a_wrong_hostfile_is_refused_with_its_line(text, words, hostfile):
    hostfile.write_text(text)
    with pytest.raises(ConfigError, match=words):
        read_hostfile(hostfile)


def test_ranks_are_those_of_the_hostfile_or_of_this_machine(hostfile, tmp_path):
    assert ranks_by_node(TrainConfig(ranks=3, batch_size=24)) == {"localhost": 3}
    assert ranks_by_node(TrainConfig(hostfile=hostfile)) == {"node-0": 8, "node-1": 4}
    assert ranks_by_node(TrainConfig(hostfile=hostfile, ranks=12, batch_size=24)) == {"node-0": 8, "node-1": 4}
    with pytest.raises(ConfigError, match="train.ranks=8, but .* has 12 slots"):
        ranks_by_node(TrainConfig(hostfile=hostfile, ranks=8))
    with pytest.raises(MissingInputError, match="nowhere"):
        ranks_by_node(TrainConfig(hostfile=tmp_path / "nowhere"))


def test_a_machine_knows_its_line_from_the_environment(hostfile, monkeypatch):
    assert node_rank(TrainConfig(hostfile=hostfile)) == 0
    monkeypatch.setenv("DEGLA_NODE_RANK", "1")
    assert node_rank(TrainConfig(hostfile=hostfile)) == 1
    assert node_rank(TrainConfig()) == 0  # alone, whatever the environment says
    for wrong in ("2", "-1", "first"):
        monkeypatch.setenv("DEGLA_NODE_RANK", wrong)
        with pytest.raises(ConfigError, match=rf"DEGLA_NODE_RANK='{wrong}': expected 0 to 1"):
            node_rank(TrainConfig(hostfile=hostfile))


def test_what_a_killed_run_left_starts_no_machine(tmp_path, monkeypatch):
    monkeypatch.setattr(launch, "_PATIENCE", 1.5)
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "launch.json").write_text('{"port": 1}')
    with pytest.raises(LostRankError, match="did not start training"):
        launch.join_in(tmp_path, {"a": 1, "b": 1}, 1)
