"""One PyTorch training step, timed on request: a process driven by JSON lines on stdin and stdout.

The protocol is in README.md. One process holds one model in one mode, so that its peak memory is its own.
"""

import json
import os
import resource
import sys
import time

MODES = ("plain", "per-example", "opacus")
# The tiles at which the hand-written step was fastest for its CPU time on an AVX-512 machine (see README.md).
FASTEST_TILE = {"resnet9": 4, "vit": 8, "mnist-cnn": 64}


def peak_bytes():
    """Peak resident set of this process (Linux reports KiB, macOS bytes)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def make_task(kind, batch):
    """The model, a fixed batch of noise images, and the function from logits (of some rows) to per-example losses."""
    import torch
    import models

    torch.manual_seed(1)
    if kind == "resnet9":
        model, x = models.ResNet9(channels=1, outputs=5), torch.randn(batch, 1, 224, 224)
        targets, weight = torch.randint(0, 2, (batch, 5)).float(), torch.full((5,), 2.0)
        return model, x, lambda logits, rows=slice(None): models.multi_label_losses(logits, targets[rows], weight)
    if kind == "vit":
        model, x, classes = models.ViT(size=224, outputs=5), torch.randn(batch, 1, 224, 224), 5
    elif kind == "mnist-cnn":
        model, x, classes = models.MnistCnn(), torch.randn(batch, 1, 28, 28), 10
    else:
        raise ValueError(f'model: got {kind!r}; expected "resnet9", "vit" or "mnist-cnn"')
    targets = torch.randint(0, classes, (batch,))
    return model, x, lambda logits, rows=slice(None): models.class_losses(logits, targets[rows])


def plain_step(model, x, losses_of, settings):
    import torch

    optimiser = torch.optim.SGD(model.parameters(), lr=settings["learningRate"])

    def step():
        optimiser.zero_grad(set_to_none=True)
        losses_of(model(x)).mean().backward()
        optimiser.step()

    return step, None


def per_example_step(model, x, losses_of, settings):
    from per_example import PerExample, update

    collector = PerExample(model)
    parameters = list(model.parameters())
    tile = settings["tile"] or FASTEST_TILE[settings["model"]]
    tiles = [slice(i, min(i + tile, len(x))) for i in range(0, len(x), tile)]

    def gradients(rows):
        collector.backward(losses_of(model(x[rows]), rows))

    def step():
        sums = None
        for rows in tiles:
            gradients(rows)
            part = collector.clipped_sums(settings["clipNorm"])
            collector.gradients = {}
            sums = part if sums is None else {p: sums[p].add_(part[p]) for p in parameters}
        update(
            parameters,
            sums,
            learning_rate=settings["learningRate"],
            clip_norm=settings["clipNorm"],
            noise_multiplier=settings["noiseMultiplier"],
            expected_batch=len(x),
        )

    def norms():
        found = []
        for rows in tiles:
            gradients(rows)
            found += collector.norms().tolist()
        return found

    return step, norms


def opacus_gradients(model):
    """Opacus's per-example gradients by hooks: the parameters, and the function that fills their grad_sample."""
    from models import Position
    from opacus.grad_sample import GradSampleModule, register_grad_sampler

    # Opacus knows no bare table; the gradient of an added table is the gradient of the sum
    register_grad_sampler(Position)(lambda layer, _activations, backprops: {layer.weight: backprops})
    private = GradSampleModule(model, loss_reduction="mean")
    return list(private.parameters()), lambda losses_of, x: losses_of(private(x)).mean().backward()


def opacus_step(model, x, losses_of, settings):
    import torch
    from opacus.optimizers import DPOptimizer

    parameters, backward = opacus_gradients(model)
    optimiser = DPOptimizer(
        torch.optim.SGD(parameters, lr=settings["learningRate"]),
        noise_multiplier=settings["noiseMultiplier"],
        max_grad_norm=settings["clipNorm"],
        expected_batch_size=len(x),
        loss_reduction="mean",
    )

    def gradients():
        optimiser.zero_grad(set_to_none=True)
        backward(losses_of, x)

    def step():
        gradients()
        optimiser.step()

    def norms():
        gradients()
        by_parameter = [p.grad_sample.flatten(1).norm(dim=1) for p in parameters]
        return torch.stack(by_parameter).square().sum(0).sqrt().tolist()

    return step, norms


def prepare(settings):
    import torch

    torch.set_num_threads(settings["threads"])
    torch.set_num_interop_threads(1)
    model, x, losses_of = make_task(settings["model"], settings["batch"])
    if settings["layout"] == "channels-last":
        model, x = model.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    maker = {"plain": plain_step, "per-example": per_example_step, "opacus": opacus_step}[settings["mode"]]
    step, norms = maker(model, x, losses_of, settings)
    versions = {"torch": torch.__version__}
    if settings["mode"] == "opacus":
        import opacus

        versions["opacus"] = opacus.__version__
    parameters = sum(p.numel() for p in model.parameters())
    return step, norms, {"ready": True, "parameters": parameters, "readyBytes": peak_bytes(), "versions": versions}


def serve(lines, answer):
    first = next(lines, None)
    if first is None:
        return
    settings = {
        "batch": 32,
        "threads": 2,
        "layout": "contiguous",
        "tile": None,
        "clipNorm": 1.0,
        "noiseMultiplier": 1.0,
        "learningRate": 0.01,
        **first,
    }
    if settings.get("mode") not in MODES:
        raise ValueError(f"mode: got {settings.get('mode')!r}; expected one of {', '.join(MODES)}")
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(settings["threads"])
    started = time.perf_counter()
    step, norms, ready = prepare(settings)
    answer({**ready, "seconds": time.perf_counter() - started})
    for line in lines:
        command = line.get("command")
        if command == "step":
            started, cpu = time.perf_counter(), time.process_time()
            step()
            answer({"seconds": time.perf_counter() - started, "cpuSeconds": time.process_time() - cpu})
        elif command == "memory":
            answer({"peakBytes": peak_bytes()})
        elif command == "norms" and norms:
            answer({"norms": norms()})
        elif command == "quit":
            return
        else:
            answer({"error": f'command: got {command!r}; expected "step", "memory", "norms" (private modes) or "quit"'})


if __name__ == "__main__":
    # answers go to the real stdout; whatever a library prints goes to stderr
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(value):
        out.write(json.dumps(value) + "\n")
        out.flush()

    try:
        serve((json.loads(line) for line in iter(sys.stdin.readline, "") if line.strip()), answer)
    except Exception as error:  # the driver must learn why, whatever it was
        answer({"error": f"{type(error).__name__}: {error}"})
        sys.exit(1)
