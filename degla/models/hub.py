"""Models and weights of the Hugging Face hub, and those that open_clip names by a tag (`openai`), as files of this machine:
from the cache, else downloaded.

The hub's `main` moves, so a name alone does not say which weights they are. What is in the cache is taken as it is, without
asking the hub, and `ModelRef.checksum` holds its content or commit: the fingerprint's checksum and the loaded weights come
from one file. Loads open_clip only for tags.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from huggingface_hub import constants, hf_hub_download, snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from degla import checksums
from degla.errors import MissingInputError, ModelError
from degla.models.architecture import read_architecture
from degla.models.lookup import CONFIG_FILES, TOKENIZER_FILES, WEIGHTS_FILES
from degla.network import hub_unreachable

_TOKENIZER_FILE = "tokenizer_config.json"


def fetch(name: str, with_weights: bool) -> Path:
    """The snapshot of `OWNER/NAME` or `OWNER/NAME@REVISION`, a folder named by its commit: its configs and tokenizer, and if
    asked the first of `WEIGHTS_FILES` that it has.

    Raises:
        MissingInputError: it is not in the cache and cannot be downloaded.
    """
    repository, _, revision = name.partition("@")
    try:
        folder = _snapshot(repository, revision or "main")
        if with_weights:
            _fetch_weights(repository, folder)
    except (HFValidationError, HfHubHTTPError, OSError) as error:
        raise _missing(f"hf-hub:{name}", f"the hub's {repository}", error) from error
    return folder


def check_weights(name: str, folder: Path) -> None:
    """Raises MissingInputError if the weights of `OWNER/NAME` are not in its snapshot `folder`, and the hub cannot be reached."""
    if not _has_weights(folder):
        try:
            _check_online(constants.ENDPOINT)
        except OSError as error:
            raise _missing(f"weights of hf-hub:{name}", f"the hub's {name}", error) from error


def _has_weights(folder: Path) -> bool:
    return any((folder / name).is_file() for name in WEIGHTS_FILES)


def _check_online(url: str) -> None:
    """Raises OSError if the host of a URL cannot be reached."""
    if reason := hub_unreachable(url):
        raise OSError(reason)


def _snapshot(repository: str, revision: str) -> Path:
    try:
        folder = Path(snapshot_download(repository, revision=revision, local_files_only=True))
        if any((folder / name).is_file() for name in CONFIG_FILES):
            return folder
    except LocalEntryNotFoundError:
        pass
    _check_online(constants.ENDPOINT)
    return Path(snapshot_download(repository, revision=revision, allow_patterns=[*CONFIG_FILES, *TOKENIZER_FILES]))


def _fetch_weights(repository: str, folder: Path) -> None:
    if _has_weights(folder):
        return
    _check_online(constants.ENDPOINT)
    for name in WEIGHTS_FILES:
        try:
            hf_hub_download(repository, name, revision=folder.name)
            return
        except EntryNotFoundError:
            continue


def tag_config(architecture: str, tag: str) -> dict[str, Any]:
    """What open_clip knows of a tag. Raises ModelError if it has no such tag for the architecture; its tags are named."""
    from open_clip.pretrained import get_pretrained_cfg, list_pretrained_tags_by_model

    config = get_pretrained_cfg(architecture, tag)
    if not config:
        tags = ", ".join(list_pretrained_tags_by_model(architecture)) or "none"
        raise ModelError(f"open_clip has no weights {tag!r} for {architecture}; its tags: {tags}")
    return config


def tag_weights(architecture: str, tag: str) -> Path:
    """The weights file of a tag.

    Raises:
        ModelError: see `tag_config`.
        MissingInputError: the file is not in the cache and cannot be downloaded.
    """
    from open_clip.constants import HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME
    from open_clip.pretrained import download_pretrained

    config = tag_config(architecture, tag)
    repository, _, name = config.get("hf_hub", "").rpartition("/")
    for each in [name] if name else [HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME]:
        cached = try_to_load_from_cache(repository, each) if repository else None
        if isinstance(cached, str):
            return Path(cached)
    try:
        _check_online(constants.ENDPOINT if repository else config["url"])
        return Path(download_pretrained(config))
    except Exception as error:  # the download goes through several libraries with their own errors
        raise _missing(f"weights {tag!r} of {architecture}", repository or config.get("url", ""), error) from error


def checksum(architecture: str, tag: str) -> str:
    """Checksum of the weights, and the commit of the tokenizer if it is one of the hub. Raises as `tag_weights` does."""
    repository = read_architecture(architecture)["text_cfg"].get("hf_tokenizer_name")
    commit = [_tokenizer_commit(repository)] if repository else []
    return checksums.of_value([checksums.of_file(tag_weights(architecture, tag)), *commit])


def _tokenizer_commit(repository: str) -> str:
    cached = try_to_load_from_cache(repository, _TOKENIZER_FILE)
    try:
        if isinstance(cached, str):
            return Path(cached).parent.name
        _check_online(constants.ENDPOINT)
        return Path(hf_hub_download(repository, _TOKENIZER_FILE)).parent.name
    except Exception as error:  # of many types: network, access, cache
        raise _missing("the tokenizer", repository, error) from error


def _missing(what: str, source: str, error: Exception) -> MissingInputError:
    reason = str(error).strip().partition("\n")[0]  # the hub's own errors are paragraphs
    return MissingInputError(
        f"{what} not in the cache, and the download failed ({reason}). Run once with access to {source}, copy the cache"
        f" ({constants.HF_HUB_CACHE}), or give files of your own: a weights file, or local-dir:FOLDER."
    )
