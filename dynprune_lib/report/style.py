"""How a method appears in every figure: one colour, one marker, one name."""

from typing import NamedTuple


class Look(NamedTuple):
    """A label, a colour that the colour-blind can tell from the others (Okabe and Ito 2008), a marker."""

    label: str
    colour: str
    marker: str


STYLES = {
    "full": Look("full data", "#404040", "*"),
    "ucb": Look("UCB", "#0072b2", "o"),
    "epsilon-greedy": Look("ε-greedy", "#d55e00", "s"),
    "dynamic-random": Look("dynamic random", "#009e73", "^"),
    "rs2": Look("RS2", "#1b4d3e", "h"),
    "infobatch": Look("InfoBatch", "#aa3377", "d"),
    "seta": Look("SeTa", "#bbaa00", "8"),
    "dynamic-el2n": Look("dynamic EL2N", "#4477aa", "H"),
    "early-stopping": Look("instance early stopping", "#ee6677", "1"),
    "progressive-dropout": Look("progressive data dropout", "#66a61e", "2"),
    "tilted-rs2": Look("tilted RS2 (ours)", "#6a3d9a", "3"),
    "static-random": Look("static random", "#cc79a7", "v"),
    "forget": Look("forget scores", "#e69f00", "P"),
    "el2n": Look("EL2N", "#56b4e9", "X"),
    "grand": Look("GraNd", "#8c6d31", "p"),
    "final-subset": Look("UCB's final subset", "#7b5ea7", "<"),
    "without-group": Look("one group left out", "#b2182b", ">"),
    "fewer-epochs": Look("full data, fewer epochs", "#999999", "D"),
}
