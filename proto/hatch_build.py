"""Build hook: whoever builds or installs the package (wheel or editable) generates the code first."""

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class GenerateContracts(BuildHookInterface[Any]):
    """Runs the very generator that `make proto` runs, so that there is one way to make the code."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Generates before files are collected; a source distribution carries the protos only."""
        if self.target_name != "wheel":
            return
        sys.path.insert(0, str(Path(self.root)))
        try:
            from generate import generate
        finally:
            sys.path.pop(0)
        generate(Path(self.root))
