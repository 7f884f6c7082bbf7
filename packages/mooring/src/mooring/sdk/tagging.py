"""Tags and properties of services that are not local: the same three calls for each kind."""

from __future__ import annotations

from typing import Any

from mooring.sdk.patches import changed
from mooring.sdk.types import Tags
from mooring.sdk.webservice import Webservice


class TaggedWebservice(Webservice):
    """A service whose tags can be changed."""

    def add_tags(self, tags: Tags) -> None:
        """Add tags; those of the same name get the new value."""
        self.update_deployment_state()
        self._patch({"kvTags": changed(self.tags, tags)})

    def remove_tags(self, tags: Any) -> None:
        """Remove tags by name: one, or a list."""
        self.update_deployment_state()
        self._patch({"kvTags": changed(self.tags, None, tags)})

    def add_properties(self, properties: Tags) -> None:
        """Add properties; they cannot be removed."""
        self.update_deployment_state()
        self._patch({"properties": changed(self.properties, properties)})

    def run(self, input_data: Any) -> Any:
        """Score; see `Webservice.run`."""
        return super().run(input_data)
