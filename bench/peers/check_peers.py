"""Checks the hand-written peer, and Opacus where importable, against the float64 fixtures in test/fixtures.

    python bench/peers/check_peers.py

Prints the largest relative difference of per-example norms and of clipped sums; exits 1 where one exceeds 1e-5
(Opacus: 3e-4, because PyTorch's float32 norm of a row of 2.4 M numbers, which it calls, is itself off by 6e-5).
"""

import json
import pathlib
import sys

import torch

HERE = pathlib.Path(__file__).resolve().parent
FIXTURES = HERE.parent.parent / "test" / "fixtures"
sys.path.insert(0, str(FIXTURES))

import models  # noqa: E402
from hashed_values import hashed_values  # noqa: E402
from per_example import PerExample  # noqa: E402
from torch_steps import opacus_gradients  # noqa: E402

TOLERANCE = {"per-example": 1e-5, "opacus": 3e-4}


def tensor(d):
    return torch.from_numpy(hashed_values(d["name"], d["shape"], d["scale"], d["offset"]))


def build(fixture):
    a, task = fixture["architecture"], fixture["task"]
    targets = torch.tensor(task["targets"])
    if a["kind"] == "resnet9":
        model, weight = models.ResNet9(a["channels"], a["outputs"]), torch.tensor(task["posWeight"])
        losses_of = lambda logits: models.multi_label_losses(logits, targets.float(), weight)  # noqa: E731
    else:
        model = models.ViT(a["size"], a["channels"], a["patch"], a["width"], a["depth"], a["heads"], a["outputs"])
        losses_of = lambda logits: models.class_losses(logits, targets)  # noqa: E731
    with torch.no_grad():
        for d, p in zip(fixture["parameters"], model.parameters(), strict=True):
            p.copy_(tensor(d))
    return model, losses_of


def hand_written(fixture):
    model, losses_of = build(fixture)
    collector = PerExample(model)
    collector.backward(losses_of(model(tensor(fixture["input"]))))
    sums = collector.clipped_sums(fixture["step"]["clipNorm"])
    return collector.norms(), [sums[p] for p in model.parameters()]


def opacus(fixture):
    model, losses_of = build(fixture)
    parameters, gradients = opacus_gradients(model)
    gradients(losses_of, tensor(fixture["input"]))
    samples = [p.grad_sample.flatten(1) for p in parameters]
    norms = torch.stack([g.norm(dim=1) for g in samples]).square().sum(0).sqrt()
    factors = torch.clamp(fixture["step"]["clipNorm"] / norms, max=1.0)
    return norms, [factors @ g for g in samples]


def differences(fixture, norms, sums):
    """The largest relative difference of a norm; of a clipped sum's probes, relative to that parameter's rms."""
    want = torch.tensor(fixture["norms"])
    worst = 0.0
    for row, got in zip(fixture["parameters"], sums, strict=True):
        probe, flat = row["clippedSum"], got.flatten()
        scale = (probe["sumOfSquares"] / flat.numel()) ** 0.5
        worst = max(worst, float((flat[probe["indices"]] - torch.tensor(probe["values"])).abs().max()) / scale)
    return float(((norms - want) / want).abs().max()), worst


if __name__ == "__main__":
    failed = False
    for kind in ("resnet9", "vit"):
        fixture = json.loads((FIXTURES / f"{kind}-step.json").read_text())
        for name, peer in (("per-example", hand_written), ("opacus", opacus)):
            try:
                found = differences(fixture, *peer(fixture))
            except ImportError as error:
                print(f"{kind} {name}: not importable ({error})")
                continue
            failed = failed or max(found) > TOLERANCE[name]
            print(f"{kind} {name}: norms differ by {found[0]:.1e}, clipped sums by {found[1]:.1e}")
    sys.exit(1 if failed else 0)
