"""What runs are called in MLflow: the name of a configuration, of a sweep and of a fold.

Names are for people; programs find a run by its tags `key` and `level`.
"""

from collections.abc import Mapping


def configuration_name(
    model: str,
    features: str,
    *,
    convolution: Mapping[str, int],
    protocol: str = "",
    external: str = "",
) -> str:
    """Return the name of a configuration, which tells the runs of one sweep apart at a glance.

    Args:
        model: Its option.
        features: Its option.
        convolution: `kernel` and `stride` where the model has them.
        protocol: Name of a protocol that leaks; empty for the honest one.
        external: Source of the records that are only scored, or empty.

    >>> configuration_name("cnn", "raw", convolution={"kernel": 250, "stride": 10})
    'k250-s10-cnn-raw'
    """
    sizes = [f"{name[0]}{size}" for name, size in convolution.items()]
    source = f"on-{external}" if external else ""
    return "-".join(part for part in (*sizes, model, features, protocol, source) if part)


def sweep_name(title: str) -> str:
    """Return the name of a sweep: what was swept, without the data, which its runs name.

    >>> sweep_name("kernel x stride, 12 runs on LUDB 1.0.1")
    'kernel x stride, 12 runs'
    """
    return title.partition(" on ")[0]


def fold_name(configuration: str, repeat: int, fold: int) -> str:
    """Return the name of a fold; `repeat` and `fold` count from 1.

    >>> fold_name("dnn-ntp", 2, 3)
    'dnn-ntp fold 3 of repeat 2'
    """
    return f"{configuration} fold {fold}" + (f" of repeat {repeat}" if repeat > 1 else "")
