"""Per-example clipping written by hand for PyTorch: the peer that a careful user of PyTorch would write.

Forward hooks keep each layer's input; when the gradient of its output arrives, the layer's per-example gradients
[batch, ...] are formed by one batched product. Parameters do not require gradients themselves, so that autograd does
not compute ordinary weight gradients beside them.
"""

import torch
from torch import nn
from torch.nn import functional as F

from models import Position


def conv_gradients(layer, x, dy):
    assert layer.groups == 1
    columns = F.unfold(x, layer.kernel_size, layer.dilation, layer.padding, layer.stride)
    dy = dy.flatten(2)
    yield layer.weight, torch.bmm(dy, columns.transpose(1, 2))
    if layer.bias is not None:
        yield layer.bias, dy.sum(2)


def linear_gradients(layer, x, dy):
    if x.dim() == 2:
        x, dy = x.unsqueeze(1), dy.unsqueeze(1)
    yield layer.weight, torch.bmm(dy.transpose(1, 2), x)
    if layer.bias is not None:
        yield layer.bias, dy.sum(1)


def group_norm_gradients(layer, x, dy):
    yield layer.weight, (F.group_norm(x, layer.num_groups, eps=layer.eps) * dy).flatten(2).sum(2)
    yield layer.bias, dy.flatten(2).sum(2)


def layer_norm_gradients(layer, x, dy):
    yield layer.weight, (F.layer_norm(x, layer.normalized_shape, eps=layer.eps) * dy).sum(1)
    yield layer.bias, dy.sum(1)


def position_gradients(layer, _x, dy):
    yield layer.weight, dy


RULES = {
    nn.Conv2d: conv_gradients,
    nn.Linear: linear_gradients,
    nn.GroupNorm: group_norm_gradients,
    nn.LayerNorm: layer_norm_gradients,
    Position: position_gradients,
}


def norms_of(gradient):
    """Norms of the rows of [batch, elements], in 64 chunks: PyTorch's float32 norm of 2.4 M numbers is off by 6e-5."""
    chunks = 64 if gradient.shape[1] % 64 == 0 else 1
    return gradient.view(len(gradient), chunks, -1).norm(dim=2).norm(dim=1)


class PerExample:
    """Collects per-example gradients of a model whose every parameter belongs to a layer in RULES, used once."""

    def __init__(self, model):
        self.model = model
        self.gradients = {}
        reached = set()
        for layer in model.modules():
            own = list(layer.parameters(recurse=False))
            if own:
                layer.register_forward_hook(self.watch)
                reached.update(own)
        assert reached == set(model.parameters())
        for parameter in model.parameters():
            parameter.requires_grad_(False)

    def watch(self, layer, inputs, output):
        x = inputs[0].detach()
        if not output.requires_grad:
            output.requires_grad_(True)

        def arrived(dy):
            with torch.no_grad():
                for parameter, gradient in RULES[type(layer)](layer, x, dy):
                    self.gradients[parameter] = gradient.reshape(len(gradient), -1)

        output.register_hook(arrived)

    def backward(self, losses):
        """Fills self.gradients: parameter -> [batch, elements]."""
        self.gradients = {}
        losses.sum().backward()

    @torch.no_grad()
    def norms(self):
        """Per-example gradient norms over all parameters [batch]."""
        return torch.stack([norms_of(g) for g in self.gradients.values()]).square().sum(0).sqrt()

    @torch.no_grad()
    def clipped_sums(self, clip_norm):
        """Parameter -> sum of the per-example gradients, each scaled to norm at most clip_norm."""
        factors = torch.clamp(clip_norm / self.norms(), max=1.0)
        return {p: (factors @ g).view_as(p) for p, g in self.gradients.items()}


@torch.no_grad()
def update(parameters, sums, *, learning_rate, clip_norm, noise_multiplier, expected_batch):
    """SGD on the noisy clipped sum, in place."""
    for p in parameters:
        noise = torch.randn_like(p)
        p.add_(sums[p].add_(noise, alpha=noise_multiplier * clip_norm), alpha=-learning_rate / expected_batch)
