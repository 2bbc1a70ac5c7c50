"""State dicts: reading, recognising, checking, finding and saving them. It needs numpy, but not torch."""

from paragon_stream.checkpoint.config import NetworkConfig, read_network_config
from paragon_stream.checkpoint.export import (
    at_strength,
    convert_weights,
    export_weights,
    facts_of,
    metadata_of,
)
from paragon_stream.checkpoint.fusing import fuse
from paragon_stream.checkpoint.inspection import Inspection, inspect
from paragon_stream.checkpoint.quality import measured_quality
from paragon_stream.checkpoint.shipped import ShippedSet, list_shipped
from paragon_stream.checkpoint.spec import Generation, NetworkSpec, Variant
from paragon_stream.checkpoint.weights import Weights, load_weights, save_weights

__all__ = [
    "Generation",
    "Inspection",
    "NetworkConfig",
    "NetworkSpec",
    "ShippedSet",
    "Variant",
    "Weights",
    "at_strength",
    "convert_weights",
    "export_weights",
    "facts_of",
    "fuse",
    "inspect",
    "list_shipped",
    "load_weights",
    "measured_quality",
    "metadata_of",
    "read_network_config",
    "save_weights",
]
