"""Put the weights of zoo/ptbxl back into a checkpoint, to evaluate and compare: `python -m tools.zoo_checkpoint OUT`.

The package has the program and no eager network; recipe ptbxl-taught says which network it was. Both must read the
package's page alike. What only the training knew (its curves, its time) is not in it.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch

from components.package.step import FROM_CHECKPOINT
from components.recipe import compose
from ecg.records import write_beside
from model.baselines import build
from model.checkpoint import save_checkpoint
from model.export import load_reader, worst_difference
from model.network import PageReader
from model.reading import PageReading
from model.typed import as_dict

ZOO = Path(__file__).resolve().parents[1] / "zoo" / "ptbxl"
RECIPE = "ptbxl-taught"
MOST_APART = 1e-5


def main() -> None:
    """Read the argument and write the checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to write")
    out = parser.parse_args().out
    with tempfile.TemporaryDirectory() as folder:
        params = compose(RECIPE, Path(folder, "params.yaml"))
    opened = PageReading.open(ZOO)
    net = build(params.model, classes=len(opened.meta["label_names"]), page=opened.page)
    reader = PageReader(net)
    reader.load_state_dict(torch.export.load(ZOO / "model.pt2").state_dict)
    page = opened.prepare((ZOO / "sample.png").read_bytes()).image
    apart = worst_difference(load_reader(ZOO / "model.pt2"), reader, np.stack([page]))
    if not apart <= MOST_APART:
        raise SystemExit(f"{ZOO}: recipe {RECIPE} describes another network: probabilities differ by {apart:.2g}")
    with write_beside(out) as folder:
        save_checkpoint(folder, net, history=[], meta={
            **{name: opened.meta[name] for name in FROM_CHECKPOINT}, "seed": params.seed, "epochs": params.train.epochs,
            "model": as_dict(params.model), "train": as_dict(params.train)})
    print(f"{out}: the zoo's reader, {opened.meta['parameters']:,} parameters, at most {apart:.1g} from its program")


if __name__ == "__main__":
    main()
