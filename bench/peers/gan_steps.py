"""One PyTorch step of the class-conditional DCGAN of 128 x 128, timed on request; protocol and modes as torch_steps.py.

The networks are those of test/fixtures/make_mcgan_step.py, with instance norm: BatchNorm mixes examples. `opacus` is made as
light as it can be: hooks are on for the real batch alone, since generated images need no clipping; its own example clips
and noises those too.
"""

import importlib.util
import json
import os
import pathlib
import sys
import time

import torch_steps
from torch_steps import peak_bytes


def networks():
    """The fixture's networks; its script writes a file when it is run, not when it is imported as another module."""
    folder = pathlib.Path(__file__).parents[2] / "test" / "fixtures"
    sys.path.insert(0, str(folder))
    spec = importlib.util.spec_from_file_location("make_mcgan_step", folder / "make_mcgan_step.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def prepare(settings):
    import torch
    from torch import nn
    from torch.nn import functional as F

    torch.set_num_threads(settings["threads"])
    torch.set_num_interop_threads(1)
    torch.manual_seed(1)
    made = networks()
    norm = lambda width: nn.InstanceNorm2d(width)
    generator, discriminator = made.Generator(norm), made.Discriminator(norm)
    batch = settings["batch"]
    real, classes = torch.rand(batch, 1, 128, 128) * 2 - 1, torch.arange(batch) % 2
    adam = lambda parameters: torch.optim.Adam(parameters, lr=1e-4, betas=(0.5, 0.999))
    g_optimiser = adam(generator.parameters())
    versions = {"torch": torch.__version__}
    if settings["mode"] == "opacus":
        import opacus
        from opacus.grad_sample import GradSampleModule
        from opacus.optimizers import DPOptimizer

        versions["opacus"] = opacus.__version__
        discriminator = GradSampleModule(discriminator, loss_reduction="mean")
        d_optimiser = DPOptimizer(
            adam(discriminator.parameters()),
            noise_multiplier=settings["noiseMultiplier"],
            max_grad_norm=settings["clipNorm"],
            expected_batch_size=batch,
            loss_reduction="mean",
        )
    else:
        d_optimiser = adam(discriminator.parameters())
    bce = F.binary_cross_entropy_with_logits

    def fake_gradients(fakes, drawn):
        """Added to what the real batch gave; never clipped, since generated images are nobody's."""
        parameters = list(discriminator.parameters())
        loss = bce(discriminator(fakes.detach(), drawn), torch.zeros(batch))
        return parameters, torch.autograd.grad(loss, parameters)

    def step():
        labels = torch.rand(batch) * 0.5 + 0.7
        drawn = torch.randint(0, 2, (batch,))
        fakes = generator(torch.randn(batch, made.LATENT), drawn)
        d_optimiser.zero_grad(set_to_none=True)
        bce(discriminator(real, classes), labels).backward()
        if settings["mode"] == "opacus":
            d_optimiser.pre_step()  # clips, sums and adds noise; what follows is exact
            discriminator.disable_hooks()
            for p, g in zip(*fake_gradients(fakes, drawn), strict=True):
                p.grad += g
            d_optimiser.original_optimizer.step()
        else:
            for p, g in zip(*fake_gradients(fakes, drawn), strict=True):
                p.grad += g
            d_optimiser.step()
        g_optimiser.zero_grad(set_to_none=True)
        for p in discriminator.parameters():
            p.requires_grad_(False)
        bce(discriminator(fakes, drawn), torch.ones(batch)).backward()
        for p in discriminator.parameters():
            p.requires_grad_(True)
        g_optimiser.step()
        if settings["mode"] == "opacus":
            discriminator.enable_hooks()

    parameters = sum(p.numel() for p in discriminator.parameters())
    return step, None, {"ready": True, "parameters": parameters, "readyBytes": peak_bytes(), "versions": versions}


if __name__ == "__main__":
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(value):
        out.write(json.dumps(value) + "\n")
        out.flush()

    torch_steps.prepare = prepare
    try:
        torch_steps.serve((json.loads(line) for line in iter(sys.stdin.readline, "") if line.strip()), answer)
    except Exception as error:  # the driver must learn why, whatever it was
        answer({"error": f"{type(error).__name__}: {error}"})
