"""Sentences as token ids: the questions of TREC, and what kind of answer they ask for (Li and Roth 2002)."""

from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor

VOCABULARY = 4096  # number of token ids
PADDING, UNKNOWN = 0, 1  # the first two; the others are words
QUESTION_TYPES = ("description", "entity", "abbreviation", "human", "location", "number")


def parse(text: str) -> tuple[list[list[str]], list[int]]:
    """Return the sentences of a text that has one in each line, after its label, as words in lower case; the labels.

    Example:
        >>> parse("3 Who was Galileo ?")
        ([['who', 'was', 'galileo', '?']], [3])
    """
    lines = [line.lower().split() for line in text.splitlines()]
    return [words for _, *words in lines], [int(label) for label, *_ in lines]


def known_words(sentences: Sequence[Sequence[str]]) -> dict[str, int]:
    """Return the token id of each word that occurs at least twice, at most VOCABULARY - 2 words, the frequent first.

    Words that occur once share a token, so that a model learns what to do with words that it does not know.

    Example:
        >>> known_words([["who", "was", "it", "?"], ["what", "was", "it", "?"]])
        {'was': 2, 'it': 3, '?': 4}
    """
    counts = Counter(word for sentence in sentences for word in sentence)
    words = [word for word, count in counts.most_common(VOCABULARY - 2) if count > 1]
    return {word: token for token, word in enumerate(words, start=UNKNOWN + 1)}


def token_ids(sentences: Sequence[Sequence[str]], known: dict[str, int]) -> Tensor:
    """Return the token ids of sentences, (N, tokens of the longest) int64, padded at the end.

    Args:
        sentences: at least one.
        known: token id of each known word, see `known_words`.

    Example:
        >>> token_ids([["it", "was"], ["what", "was", "it"]], {"was": 2, "it": 3})
        tensor([[3, 2, 0],
                [1, 2, 3]])
    """
    ids = [torch.tensor([known.get(word, UNKNOWN) for word in sentence]) for sentence in sentences]
    return torch.nn.utils.rnn.pad_sequence(ids, batch_first=True, padding_value=PADDING)
