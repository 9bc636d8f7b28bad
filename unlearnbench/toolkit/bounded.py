"""Layers whose linear maps have a spectral norm of at most 1, for models made of them."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.grad import conv2d_input, conv2d_weight

GROSS = 1.5
"""Norm from which on a weight is divided, down to it, before the rest is taken off."""
ROUNDS, TOLERANCE = 100, 0.003
"""Rounds of power iteration that make sure of a model that is done, and what it may then have."""


class Bounded(nn.Module):
    """Stand for a layer that `Trainer` puts back to a spectral norm of at most 1 after each step.

    Power iteration on the layer's own map, so with stride and padding, for the size of images it is
    given, finds its largest singular value; what is above 1 is taken off the weight, to first
    order, along the slope of that value. The direction is kept from step to step, where one round
    keeps up. It is what FastClip (Ebrahimpour-Boroojeny et al., arXiv 2402.16017) does, by which
    AMUN's authors bound their net: theirs follows several values at a time and clips every so many
    steps. Dividing the weight by its norm (Gouk et al., arXiv 1804.04368) is simpler, but lowers
    all of a layer's values each time that one is too large: nets of these models then learn next to
    nothing at usual rates.
    """

    weight: Tensor
    direction: Tensor
    """What the map stretches the most as far as is known, of norm 1; a batch of one."""

    there: Callable[[Tensor], Tensor]
    """Maps x without the bias."""
    back: Callable[[Tensor], Tensor]
    """Maps y by the adjoint."""
    slope: Callable[[Tensor, Tensor], Tensor]
    """Returns the gradient of <y, map of x> with respect to the weight."""

    @torch.no_grad()
    def look(self, rounds: int = 1) -> tuple[Tensor, Tensor]:
        """Follow the direction by power iteration; return the norm, a scalar, and its image."""
        for _ in range(rounds - 1):
            self.look()
        image = self.there(self.direction)
        image /= image.norm().clamp_min(1e-30)
        returned = self.back(image)
        norm = returned.norm()
        self.direction.copy_(returned / norm.clamp_min(1e-30))
        return norm, image

    @torch.no_grad()
    def project(self) -> None:
        """Lower the norm where it is above 1. No device is waited for."""
        norm, image = self.look()
        # Of a step that went much too far one direction is not enough: the next would go further.
        self.weight.div_((norm / GROSS).clamp_min(1.0))
        excess = norm.clamp(1.0, GROSS) - 1.0
        slope = self.slope(self.direction, image)
        self.weight.sub_(slope * (excess / slope.square().sum().clamp_min(1e-30)))

    def _begin(self, shape: Sequence[int]) -> None:
        """Begin with a map that keeps lengths, of an image's every position by itself.

        The identity where inputs and outputs are as many, which lets blocks use all of the bound;
        elsewhere a random orthogonal map. Source: delta-orthogonal initialisation (Xiao et al.,
        arXiv 1806.05393). PyTorch's own has most singular values far below the largest, and once
        that one is at most 1 signals vanish and nothing is learnt.
        """
        with torch.no_grad():
            outputs, inputs, *kernel = self.weight.shape
            middle = self.weight.new_empty(outputs, inputs)
            start = nn.init.eye_ if inputs == outputs else nn.init.orthogonal_
            self.weight.zero_()
            centre = self.weight
            for side in reversed(kernel):
                centre = centre[..., side // 2]
            centre.copy_(start(middle))
        direction = torch.randn(1, *shape)
        self.register_buffer("direction", direction / direction.norm())


class BoundedConv(Bounded, nn.Conv2d):
    """A convolution of [b, inputs, side, side] without or with stride, its norm at most 1."""

    def __init__(self, inputs: int, outputs: int, kernel: int, side: int, stride: int = 1) -> None:
        """Take images of this side, padded so that only `stride` makes them smaller."""
        super().__init__(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self._begin((inputs, side, side))

    def there(self, x: Tensor) -> Tensor:
        """Map x without the bias."""
        return self.forward(x)

    def back(self, y: Tensor) -> Tensor:
        """Map y by the adjoint."""
        shape, stride, padding = self.direction.shape, self.stride, self.padding
        moved: Tensor = conv2d_input(shape, self.weight, y, stride, padding)  # type: ignore[no-untyped-call]
        return moved

    def slope(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the gradient of <y, map of x> with respect to the weight."""
        made: Tensor = conv2d_weight(x, self.weight.shape, y, self.stride, self.padding)  # type: ignore[no-untyped-call]
        return made


class BoundedLinear(Bounded, nn.Linear):
    """A linear layer of norm at most 1."""

    def __init__(self, inputs: int, outputs: int) -> None:
        """Map [b, inputs] to [b, outputs]."""
        super().__init__(inputs, outputs)
        self._begin((inputs,))

    def there(self, x: Tensor) -> Tensor:
        """Map x without the bias."""
        return functional.linear(x, self.weight)

    def back(self, y: Tensor) -> Tensor:
        """Map y by the adjoint."""
        return y @ self.weight

    def slope(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the gradient of <y, map of x> with respect to the weight."""
        return y.T @ x


def settle(model: nn.Module, known: nn.Module | None = None) -> None:
    """Make sure, to within two percent, of the bounds of a model whose weights may have changed.

    known: a model that is settled; layers with weights like its own are left as they are. What is
    not finite is for others to find.
    """
    settled = bounded_layers(known) if known else []
    for place, layer in enumerate(bounded_layers(model)):
        if settled and torch.equal(layer.weight, settled[place].weight):
            continue
        while float(layer.look(ROUNDS)[0]) > 1 + TOLERANCE:
            for _ in range(ROUNDS):
                layer.project()


def bounded_layers(model: nn.Module) -> list[Bounded]:
    """List the layers of a model that have a bound."""
    return [layer for layer in model.modules() if isinstance(layer, Bounded)]


class Centred(nn.Module):
    """Shift images in [0, 1] to zero: without BatchNorm a common brightness drowns the rest."""

    def forward(self, x: Tensor) -> Tensor:
        """Subtract one half."""
        return x - 0.5


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut, without BatchNorm.

    Where the shape changes the shortcut is a convolution and the sum is halved, as in AMUN's code,
    so that the norm stays at most 1; elsewhere the sum x + f(x) has a norm of at most 2.
    """

    def __init__(self, inputs: int, outputs: int, side: int, stride: int) -> None:
        """Take images of this side; halve it when `stride` is 2."""
        super().__init__()
        smaller = (side - 1) // stride + 1
        self.conv1 = BoundedConv(inputs, outputs, 3, side, stride)
        self.conv2 = BoundedConv(outputs, outputs, 3, smaller)
        changes = stride != 1 or inputs != outputs
        self.shortcut = BoundedConv(inputs, outputs, 1, side, stride) if changes else None

    def forward(self, x: Tensor) -> Tensor:
        """Map [b, inputs, s, s] to [b, outputs, s / stride, s / stride]."""
        y = self.conv2(functional.relu(self.conv1(x)))
        y = y + x if self.shortcut is None else (y + self.shortcut(x)) / 2
        return functional.relu(y)
