"""Everything that evaluate found, as the report and the model card take it."""

from dataclasses import dataclass

import pandas as pd

from ecg.pages import PageSet
from model.network import PageReader


@dataclass(frozen=True)
class Evidence:
    """What is known about one checkpoint on one set of pages."""

    meta: dict
    """The checkpoint's model.json."""
    history: list[dict]
    """One dict an epoch of its training."""
    metrics: dict
    """What metrics.json holds."""
    pages: PageSet
    predictions: pd.DataFrame
    curves: dict[str, list[dict]]
    subgroups: list[dict]
    gaps: list[dict]
    thresholds: dict[str, float]
    comparisons: dict[str, dict]
    """Differences to other models on the same pages, by the name that they were given."""
    reader: PageReader | None
    """What reads a page and can say why; None for baselines that read signals."""

    @property
    def names(self) -> tuple[str, ...]:
        return self.pages.label_names

    @property
    def captures(self) -> tuple[str, ...]:
        return self.pages.captures

    @property
    def test(self) -> dict:
        """The test split's block of metrics.json for each capture."""
        return self.metrics["test"]

    @property
    def warnings(self) -> list[str]:
        """What a reader must know before the figures, a sentence each."""
        found = []
        if self.meta.get("train", {}).get("shuffle_labels"):
            found.append("This is the control experiment: the model was trained on shuffled labels.")
        if self.meta["data_digest"] != self.metrics["data_digest"]:
            found.append("The pages come from another record store than the training records: nothing here shows that "
                         "no patient is in both.")
        if doubts := self.meta.get("validation", {}).get("warnings"):
            found.append(f"Validation warned of the training records: {', '.join(doubts)}. The Data Docs tell more; "
                         "they are artifacts (data_docs/) of the training's run in MLflow.")
        undefined = sorted({name for block in self.test.values() for name in block["undefined"]})
        if undefined:
            found.append(f"The test split has no positive or no negative record of {', '.join(undefined)}: these "
                         "cannot be measured and do not enter the macro averages.")
        guessed = sorted({name for block in self.metrics["validate"].values() for name in block["undefined"]})
        if guessed:
            found.append(f"The validation split has no positive or no negative record of {', '.join(guessed)}: their "
                         "threshold is 0.5, chosen by nothing.")
        return found


def figure(value: float | None, digits: int = 3) -> str:
    """Write a figure, a dash for what cannot be measured."""
    return "–" if value is None else f"{value:.{digits}f}"


def interval(node: dict, digits: int = 3) -> str:
    """Write the ends of a figure's interval, empty when it has none."""
    return "" if node["low"] is None else f"{node['low']:.{digits}f}–{node['high']:.{digits}f}"


def signed(value: float | None, digits: int = 3) -> str:
    """Write a difference with its sign."""
    return "–" if value is None else f"{value:+.{digits}f}"


def percent(node: dict) -> str:
    """Write a share."""
    return "–" if node["value"] is None else f"{node['value']:.1%}"


def percent_interval(node: dict) -> str:
    """Write the ends of a share's interval, empty when it has none."""
    return "" if node["low"] is None else f"{node['low']:.1%}–{node['high']:.1%}"
