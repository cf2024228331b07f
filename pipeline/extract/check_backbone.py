"""`affect check-backbone`: the layers of a backbone, what they give, and the time they take here."""

from typing import TYPE_CHECKING

from ...configs.schema import FeaturesConfig
from ..devices import resolve_device

if TYPE_CHECKING:
    from ...stages.features.layers import BackboneReport


def check_backbone(config: FeaturesConfig, *, device: str = "auto") -> "BackboneReport":
    """The backbone of these settings. Errors: ConfigError, WeightsError, DeviceError."""
    from ...stages.features.layers import examine

    return examine(config, resolve_device(device))
