"""Sentences as token ids: the questions of TREC, and what kind of answer they ask for (Li and Roth 2002)."""

from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor

VOCABULARY = 4096  # number of token ids
PADDING, UNKNOWN = 0, 1  # the first two; the others are words
QUESTION_TYPES = ("description", "entity", "abbreviation", "human", "location", "number")


def parse(content: bytes) -> tuple[list[str], list[int]]:
    """Return the sentences and the labels, which come first in each line."""
    # not by `splitlines`, which also ends a line at a character that some sentences have
    lines = [line.partition(" ") for line in content.decode("latin-1").strip().split("\n")]
    return [sentence for _, _, sentence in lines], [int(label) for label, _, _ in lines]


def words_of(sentences: Sequence[str]) -> list[list[str]]:
    """Return the words of each sentence, in lower case."""
    return [sentence.lower().split() for sentence in sentences]


def known_words(sentences: Sequence[Sequence[str]]) -> dict[str, int]:
    """Return the token id of each word that occurs at least twice, at most VOCABULARY - 2 words, the frequent first.

    Words that occur once share a token: a model learns what to do with words that it does not know.
    """
    counts = Counter(word for sentence in sentences for word in sentence)
    words = [word for word, count in counts.most_common(VOCABULARY - 2) if count > 1]
    return {word: token for token, word in enumerate(words, start=UNKNOWN + 1)}


def token_ids(sentences: Sequence[Sequence[str]], known: dict[str, int]) -> Tensor:
    """Return the token ids of sentences, (N, tokens of the longest) int64, padded at the end."""
    ids = [torch.tensor([known.get(word, UNKNOWN) for word in sentence]) for sentence in sentences]
    return torch.nn.utils.rnn.pad_sequence(ids, batch_first=True, padding_value=PADDING)
