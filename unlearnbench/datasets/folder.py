"""Any folder of image files."""

from unlearnbench.data.folders import FolderSource


class Folder(FolderSource):
    """Your own images: train/<class>/* and test/<class>/* below --data."""
