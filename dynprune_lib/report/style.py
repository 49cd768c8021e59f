"""Define the label, colour and marker of every method, the same in all figures."""

from collections.abc import Iterable
from typing import Any, NamedTuple


class Style(NamedTuple):
    """Style of a method; colours work with colour vision deficiency (Okabe and Ito 2008)."""

    label: str
    colour: str
    marker: str

    @property
    def line(self) -> dict[str, Any]:
        """Arguments of matplotlib for a line."""
        return {"color": self.colour, "marker": self.marker, "label": self.label}


STYLES = {
    "full": Style("full data", "#404040", "*"),
    "ucb": Style("UCB", "#0072b2", "o"),
    "ucb1": Style("UCB1", "#2ca02c", "4"),
    "epsilon-ucb": Style("ε-UCB", "#17becf", "x"),
    "cautious-greedy": Style("cautious greedy (ours)", "#a6611a", "."),
    "epsilon-greedy": Style("ε-greedy", "#d55e00", "s"),
    "dynamic-random": Style("dynamic random", "#009e73", "^"),
    "proportional": Style("proportional", "#c51b7d", "$\\propto$"),
    "rs2": Style("RS2", "#1b4d3e", "h"),
    "infobatch": Style("InfoBatch", "#aa3377", "d"),
    "seta": Style("SeTa (fixed length)", "#bbaa00", "8"),
    "dynamic-el2n": Style("dynamic EL2N", "#4477aa", "H"),
    "early-stopping": Style("instance early stopping (fixed length)", "#ee6677", "1"),
    "progressive-dropout": Style("progressive data dropout", "#66a61e", "2"),
    "order-dp": Style("OrderDP", "#e377c2", "+"),
    "repb": Style("RePB", "#9a3b26", "$r$"),
    "rcap": Style("RCAP", "#7f5539", "|"),
    "molpeg": Style("MolPeg", "#3f5e5a", "_"),
    "static-random": Style("static random", "#cc79a7", "v"),
    "forget": Style("forget scores", "#e69f00", "P"),
    "el2n": Style("EL2N", "#56b4e9", "X"),
    "grand": Style("GraNd", "#8c6d31", "p"),
    "aum": Style("AUM", "#636363", "$a$"),
    "cat": Style("CAT", "#b07aa1", "$c$"),
    "cowerage": Style("COWERAGE", "#5f9e6e", "$w$"),
    "final-subset": Style("UCB's final subset", "#7b5ea7", "<"),
    "without-group": Style("one group left out", "#b2182b", ">"),
    "always-first": Style("always samples and a part of sometimes", "#d6604d", "$s$"),
    "fewer-epochs": Style("full data, fewer epochs", "#999999", "D"),
}


def style(method: str) -> Style:
    """Return the style of a method; a sampler of your own is labelled with its class name."""
    return STYLES.get(method) or Style(method.rpartition(":")[2], "#000000", ".")


def ordered(methods: Iterable[str]) -> list[str]:
    """Return the distinct methods in the order of all figures; those not in STYLES come last."""
    known = list(STYLES)
    return sorted(set(methods), key=lambda method: (known.index(method) if method in STYLES else len(known), method))


def model_title(name: str) -> str:
    """Return the name of a model in captions.

    Example:
        >>> model_title("small"), model_title("resnet18")
        ('small net', 'ResNet-18')
    """
    titles = {
        "bag": "bag of embeddings",
        "minilm": "all-MiniLM-L6-v2",
        "mlp": "multilayer perceptron",
        "resnet18": "ResNet-18",
        "speedrun-wide": "wide speedrun net",
        "speedrun-wider": "wider speedrun net",
        "tiny-bert": "tiny BERT",
    }
    return titles.get(name, f"{name} net")


def device_title(device: str) -> str:
    """Return the name of a recorded device in captions; all CPUs share one, since they compute the same.

    Example:
        >>> device_title("2 cores, AMD EPYC"), device_title("NVIDIA H200")
        ('CPU', 'NVIDIA H200')
    """
    return device if device.startswith(("NVIDIA", "Tesla", "AMD Instinct")) else "CPU"
