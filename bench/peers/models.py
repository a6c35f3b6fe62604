"""The three benchmark architectures in PyTorch, and the loss that each is trained with.

Parameter names and their order are part of the fixtures in test/fixtures. Nothing here is updated in place by a
module (no batch statistics), so that per-example gradients are well defined.
"""

import torch
from torch import nn
from torch.nn import functional as F


def norm(channels):
    return nn.GroupNorm(32, channels)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with GroupNorm and Mish; a 1x1 convolution on the shortcut where the shape changes."""

    def __init__(self, inner, outer, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inner, outer, 3, stride, 1, bias=False)
        self.bn1 = norm(outer)
        self.conv2 = nn.Conv2d(outer, outer, 3, 1, 1, bias=False)
        self.bn2 = norm(outer)
        self.downsample = None
        if stride != 1 or inner != outer:
            self.downsample = nn.Sequential(nn.Conv2d(inner, outer, 1, stride, bias=False), norm(outer))

    def forward(self, x):
        y = self.bn2(self.conv2(F.mish(self.bn1(self.conv1(x)))))
        return F.mish(y + (x if self.downsample is None else self.downsample(x)))


class ResNet9(nn.Module):
    """ResNet with blocks [1, 1, 1, 1], GroupNorm(32) and Mish: arXiv 2302.01622; torchvision's parameter names."""

    def __init__(self, channels=1, outputs=5):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 64, 7, 2, 3, bias=False)
        self.bn1 = norm(64)
        self.layer1 = nn.Sequential(BasicBlock(64, 64, 1))
        self.layer2 = nn.Sequential(BasicBlock(64, 128, 2))
        self.layer3 = nn.Sequential(BasicBlock(128, 256, 2))
        self.layer4 = nn.Sequential(BasicBlock(256, 512, 2))
        self.fc = nn.Linear(512, outputs)

    def forward(self, x):
        x = F.max_pool2d(F.mish(self.bn1(self.conv1(x))), 3, 2, 1)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean((2, 3)))


class Position(nn.Module):
    """A learned table that is added to the tokens; a module of its own so that hooks reach it."""

    def __init__(self, tokens, width):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(tokens, width) * 0.02)

    def forward(self, x):
        return x + self.weight


class Block(nn.Module):
    """Pre-norm transformer block. qkv rows are ordered [q, k, v][head][within head]; exact (erf) GELU."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width, eps=1e-5)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width, eps=1e-5)
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x):
        batch, tokens, width = x.shape
        size = width // self.heads
        q, k, v = self.qkv(self.norm1(x)).view(batch, tokens, 3, self.heads, size).permute(2, 0, 3, 1, 4)
        # softmax(q k' / sqrt(head size)) v, by PyTorch's own fused kernel
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(batch, tokens, width)
        x = x + self.proj(mixed)
        return x + self.fc2(F.gelu(self.fc1(self.norm2(x))))


class ViT(nn.Module):
    """Vision transformer: learned positions, pre-norm blocks, final LayerNorm, mean over tokens, linear head."""

    def __init__(self, size=224, channels=1, patch=16, width=192, depth=12, heads=3, outputs=5):
        super().__init__()
        self.patch = nn.Conv2d(channels, width, patch, patch)
        self.position = Position((size // patch) ** 2, width)
        self.blocks = nn.Sequential(*[Block(width, heads) for _ in range(depth)])
        self.norm = nn.LayerNorm(width, eps=1e-5)
        self.head = nn.Linear(width, outputs)

    def forward(self, x):
        x = self.position(self.patch(x).flatten(2).transpose(1, 2))
        return self.head(self.norm(self.blocks(x)).mean(1))


class MnistCnn(nn.Module):
    """The network of Opacus's MNIST example."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 8, 2, 3)
        self.conv2 = nn.Conv2d(16, 32, 4, 2)
        self.fc1 = nn.Linear(512, 32)
        self.fc2 = nn.Linear(32, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2, 1)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2, 1)
        return self.fc2(F.relu(self.fc1(x.flatten(1))))


def multi_label_losses(logits, targets, pos_weight):
    """Binary cross-entropy with logits, mean over labels: one loss for each example."""
    return F.binary_cross_entropy_with_logits(logits, targets, pos_weight=pos_weight, reduction="none").mean(1)


def class_losses(logits, targets):
    """Softmax cross-entropy: one loss for each example."""
    return F.cross_entropy(logits, targets, reduction="none")
