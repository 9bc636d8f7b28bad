"""A small vision transformer for images of any size that trains on two cores with AdamW."""

import torch
from torch import Tensor, nn

WIDTH, DEPTH, HEADS = 128, 6, 4


class _Positions(nn.Module):
    """Add to each patch where it is: sines and cosines of row and column, which are not learned."""

    positions: Tensor

    def __init__(self, rows: int) -> None:
        """Prepare for rows x rows patches."""
        super().__init__()
        waves = torch.arange(rows)[:, None] / 10_000 ** torch.linspace(0, 1, WIDTH // 4)
        along = torch.cat((waves.sin(), waves.cos()), dim=1)
        down, across = along.repeat_interleave(rows, 0), along.repeat(rows, 1)
        self.register_buffer("positions", torch.cat((down, across), 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map [b, d, rows, rows] to [b, rows * rows, d]."""
        return x.flatten(2).transpose(1, 2) + self.positions


class _Attention(nn.Module):
    """Let each patch look at all others."""

    def __init__(self) -> None:
        super().__init__()
        self.inputs = nn.Linear(WIDTH, 3 * WIDTH)
        self.output = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """Map [b, n, d] to the same shape."""
        # written out: PyTorch's fused form has no second derivative
        parts = self.inputs(x).unflatten(2, (3, HEADS, WIDTH // HEADS))
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        weights = (query @ key.transpose(2, 3) * (WIDTH // HEADS) ** -0.5).softmax(dim=3)
        mixed: Tensor = self.output((weights @ value).transpose(1, 2).flatten(2))
        return mixed


class _Block(nn.Module):
    """Attention and two linear layers, each after a LayerNorm and beside a shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(WIDTH)
        self.attention = _Attention()
        self.norm2 = nn.LayerNorm(WIDTH)
        self.linear1 = nn.Linear(WIDTH, 2 * WIDTH)
        self.linear2 = nn.Linear(2 * WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """Map [b, n, d] to the same shape."""
        x = x + self.attention(self.norm1(x))
        added: Tensor = self.linear2(nn.functional.gelu(self.linear1(self.norm2(x))))
        return x + added


class _Mean(nn.Module):
    """Average over patches."""

    def forward(self, x: Tensor) -> Tensor:
        """Map [b, n, d] to [b, d]."""
        return x.mean(dim=1)


def build(classes: int, channels: int, size: int) -> nn.Module:
    """Build six blocks of width 128 over at most 8 x 8 patches, 0.8 million parameters.

    A patch is 2x2 pixels up to 16x16, 4x4 at 32x32 and 28x28, 28x28 at 224x224. Fixed positions and
    the mean in place of a class token are those of Beyer et al. (arXiv 2205.01580), which
    learn faster from few images. It is trained with AdamW (`recipe.optimizer`), a rate near 0.001
    that falls along a cosine, and a warm-up.
    """
    side = max(2, -(-size // 8))
    lacking = -size % side
    rows = (size + lacking) // side
    return nn.Sequential(
        nn.ZeroPad2d((0, lacking, 0, lacking)),
        nn.Conv2d(channels, WIDTH, side, side),
        _Positions(rows),
        *(_Block() for _ in range(DEPTH)),
        nn.LayerNorm(WIDTH),
        _Mean(),
        nn.Linear(WIDTH, classes),
    )
