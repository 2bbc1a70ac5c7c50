"""Put trained weights among the shipped ones: measure them, write the figures into their metadata, save.

    scripts/python scripts/ship_weights.py runs/x/best.safetensors fidelity [--eval ../shared/eval]

The name becomes `engines/<variant>_x<scale>_<name>.safetensors`. Figures are PSNR-Y through the frame job
on the sets below --eval (folders Set5 and Set14), and are left out where those are absent.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from paragon_stream.checkpoint import load_weights, save_weights
from paragon_stream.train.evaluate import evaluate

REPOSITORY = Path(__file__).resolve().parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", type=Path)
    parser.add_argument("name")
    parser.add_argument("--eval", type=Path, default=REPOSITORY.parent / "shared" / "eval")
    parser.add_argument("--recipe", help="Text for the metadata, if the file's own does not tell.")
    options = parser.parse_args()

    weights = load_weights(options.weights)
    spec = weights.spec
    metadata = {k: v for k, v in weights.metadata.items() if not k.startswith("measured ")}
    metadata["name"] = options.name
    if options.recipe:
        metadata["recipe"] = options.recipe
    for folder in (options.eval / "Set5", options.eval / "Set14"):
        if folder.is_dir():
            found = evaluate(folder, weights=options.weights)
            means = found.means()
            metadata[f"measured {folder.name} PSNR-Y"] = f"{means['model']['psnr_y']:.2f} dB"
            print(folder.name, {method: round(v["psnr_y"], 3) for method, v in means.items()})
    target = REPOSITORY / "engines" / f"{spec.variant}_x{spec.scale}_{options.name}.safetensors"
    save_weights(target, weights.tensors, metadata)
    target.chmod(0o644)
    print(target)


if __name__ == "__main__":
    main()
