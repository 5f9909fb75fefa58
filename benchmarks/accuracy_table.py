"""The table of `bench accuracy` in Markdown: a line a model, mean and range over its seeds."""

import numpy as np

from benchmarks.recorded import Run


def tables(rows: list[tuple[str, list[Run]]]) -> str:
    """Lay recorded runs out, a table for each set of records and pages.

    Args:
        rows: name and runs of each row and seed, newest first; of runs on the same pages the newest counts.
    """
    sets = dict.fromkeys(_set(run) for _, runs in rows for run in runs)
    return "\n\n".join(_table([(name, next((run for run in runs if _set(run) == one), None)) for name, runs in rows])
                       for one in sets)


def gains(rows: list[tuple[str, list[Run]]], over: str) -> str:
    """Say by how much each row lies above one of them, before rounding: a line a row and capture, means over its seeds.

    Args:
        rows: as `tables` takes them.
        over: the name of the row that the others are compared with, on its pages alone.
    """
    base = next((_set(run) for name, runs in rows if name == over for run in runs), None)
    newest = [(name, next((run for run in runs if _set(run) == base), None)) for name, runs in rows]
    by_name = {name: [run for other, run in newest if other == name and run and run.figures["test"]]
               for name, _ in newest}
    lines = []
    for name, runs in by_name.items():
        for capture in by_name[over][0].pages["captures"] if runs and by_name[over] and name != over else ():
            parts = []
            for metric in ("auroc", "f1"):
                mine, theirs = ([run.figures["test"][capture][metric]["value"] for run in those]
                                for those in (runs, by_name[over]))
                apart = min(len(mine), len(theirs)) > 1 and (min(mine) > max(theirs) or max(mine) < min(theirs))
                parts.append(f"{metric} {np.mean(mine) - np.mean(theirs):+.4f}{' (ranges apart)' if apart else ''}")
            seeds = f"{len(runs)} and {len(by_name[over])} seeds"
            lines.append(f"{name}, {capture}, over {over}: {', '.join(parts)}; {seeds}")
    return "\n".join(lines)


def _set(run: Run) -> tuple[str, str]:
    return run.pages["data_digest"], run.pages["digest"]


def _table(rows: list[tuple[str, Run | None]]) -> str:
    runs = [run for _, run in rows if run]
    captures = runs[0].pages["captures"]
    lines = [_about(runs), "",
             "| model | reads | parameters | validation AUROC | " + " | ".join(
                 f"{capture} AUROC | {capture} F1" for capture in captures) + " | seeds | training |",
             "|" + "---|" * (6 + 2 * len(captures))]
    for name in dict.fromkeys(name for name, _ in rows):
        mine = [run for other, run in rows if other == name and run]
        if mine:
            lines.append(_line(name, mine, captures))
    return "\n".join(lines)


def _about(runs: list[Run]) -> str:
    """Say what the table was measured on, with and by."""
    pages = runs[0].pages
    trained = " / ".join(str(count) for count in sorted({run.figures["trained_on"] for run in runs}))
    parts = [pages["folds"][split] for split in ("train", "validate", "test")]
    folds = " / ".join(map(_span, parts)) if all(parts) else "not told"
    machines = "; ".join(sorted({run.figures["hardware"] for run in runs}))
    commits = ", ".join(sorted({_short(run.made["git_commit"]) for run in runs}))
    return (f"{len(pages['label_names'])} findings, data {pages['data_digest'][:12]}: {trained} training, "
            f"{pages['records'].get('validate', 0)} validation, {pages['records'].get('test', 0)} test records (folds "
            f"{folds}); page {pages['page']['layout']}, {pages['page']['width']} x {pages['page']['height']}; "
            f"{machines}; trained by commit {commits}.")


def _short(commit: str) -> str:
    return commit[:7] + ("-dirty" if commit.endswith("-dirty") else "")


def _span(folds: list[int]) -> str:
    return f"{folds[0]}-{folds[-1]}" if len(folds) > 1 else str(folds[0])


def _line(name: str, runs: list[Run], captures: list[str]) -> str:
    figures = [run.figures for run in runs]
    cells = [name, runs[0].reads, f"{figures[0]['parameters'] / 1e6:.2f} M",
             _spread([one["validate_auroc"] for one in figures])]
    for capture in captures:
        cells += [_spread([one["test"][capture][metric]["value"] if one["test"] else None for one in figures])
                  for metric in ("auroc", "f1")]
    minutes = np.mean([one["seconds"] for one in figures]) / 60
    trained = f"{figures[0]['epochs']} epochs, {minutes:.0f} min, {figures[0]['device']}"
    return "| " + " | ".join([*cells, str(len(runs)), trained]) + " |"


def _spread(values: list[float | None]) -> str:
    if None in values:
        return "–"
    if len(values) == 1:
        return f"{values[0]:.3f}"
    return f"{np.mean(values):.3f} ({min(values):.3f}-{max(values):.3f})"
