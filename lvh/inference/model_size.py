"""How large a network is that settings ask for, known before any of it is made.

A network that is new in `lvh.models` adds a function here.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from lvh.models.cnn import CnnSettings
from lvh.models.dnn import DnnSettings
from lvh.models.resnet import ResnetSettings
from lvh.models.two_branch import TwoBranchSettings

_LATER_KERNEL = 5  # of `cnn`
_NORMALIZED = 4  # a channel's scale, shift, moving mean and moving variance


def n_parameters(settings: Any, shape: tuple[int, ...]) -> int:
    """Return the number of weights of a network, those that are not trained too.

    Args:
        settings: Of the model.
        shape: Of one record's input, as its `build` takes it.
    """
    return _SIZES[type(settings)](settings, shape)


def _dnn(of: DnnSettings, shape: tuple[int, ...]) -> int:
    widths = (*shape, *of.units, 1)
    dense = sum((a + 1) * b for a, b in pairwise(widths))
    return dense + _NORMALIZED * sum(of.units[:2])


def _cnn(of: CnnSettings, shape: tuple[int, ...]) -> int:
    found, channels, kernel = 0, shape[-1], of.kernel_size
    for filters in of.filters:
        found += (kernel * channels + 1 + _NORMALIZED) * filters
        channels, kernel = filters, _LATER_KERNEL
    return found + channels + 1


def _resnet(of: ResnetSettings, shape: tuple[int, ...]) -> int:
    return _pooled(of.filters, of.blocks, of.kernel, shape[-1]) + of.filters[-1] + 1


def _two_branch(of: TwoBranchSettings, shape: tuple[int, ...]) -> int:
    n_measured, _, n_leads = shape
    dense = _NORMALIZED * n_measured + (n_measured + 1) * of.units
    joined = of.units + of.filters[-1] + 1
    return dense + _pooled(of.filters, 1, of.kernel, n_leads) + joined


def _pooled(filters: tuple[int, ...], blocks: int, kernel: int, n_leads: int) -> int:
    channels, found = filters[0], _convolved(kernel, n_leads, filters[0])
    for width in filters:
        found += _convolved(kernel, channels, width) + _convolved(kernel, width, width)
        found += _convolved(1, channels, width)  # of the shortcut
        found += 2 * (blocks - 1) * _convolved(kernel, width, width)
        channels = width
    return found


def _convolved(kernel: int, channels: int, filters: int) -> int:
    return (kernel * channels + _NORMALIZED) * filters


_SIZES: dict[type, Callable[[Any, tuple[int, ...]], int]] = {
    CnnSettings: _cnn,
    DnnSettings: _dnn,
    ResnetSettings: _resnet,
    TwoBranchSettings: _two_branch,
}
