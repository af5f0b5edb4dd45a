"""Build hook: whoever builds or installs the package (wheel or editable) generates the code first."""

import runpy
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
        generator = runpy.run_path(str(Path(self.root) / "generate.py"))
        generator["generate"](Path(self.root))
