"""Any folder of image files."""

from unlearnbench.data.vision import FolderSource


class Folder(FolderSource):
    """Your own images: train/<class>/* and test/<class>/* below --data, all of one size."""
