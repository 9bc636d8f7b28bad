"""Tiny ImageNet."""

from pathlib import Path

from unlearnbench.data.folders import FolderSource, Listing
from unlearnbench.errors import DataError
from unlearnbench.files import TEXT, UnsoundError, opened_behind

SIDE = 64


class TinyImageNet(FolderSource):
    """110,000 colour images, 64x64 pixels, 200 classes; its validation part is the test set."""

    parts = ("train", "val")
    layout = "Unpack tiny-imagenet-200.zip (Stanford, CS231n) below the folder named by --data."

    @property
    def folder(self) -> Path:
        """Where the archive unpacks to."""
        return self.root / (self.path or "tiny-imagenet-200")

    def there(self) -> bool:
        """Say whether it is unpacked."""
        return self.folder.is_dir()

    def list_part(self, part: str) -> Listing:
        """List train/ by folders, val/ by its list of annotations."""
        if part == "train":
            return super().list_part(part)
        file = self.folder / "val" / "val_annotations.txt"
        try:
            with opened_behind(file, TEXT) as opened:
                lines = opened.read(TEXT).decode().splitlines()
        except OSError as error:
            raise DataError(f"Cannot read {file}: {error.strerror}.", self.layout) from error
        except ValueError as error:
            why = error if isinstance(error, UnsoundError) else "is no text"
            raise DataError(f"Cannot read {file}: it {why}.", self.layout) from error
        named = [line.split("\t")[:2] for line in lines if "\t" in line]
        if odd := [name for name, _ in named if {"/", "\0"} & {*name}]:
            raise DataError(
                f"{file} names '{odd[0]}', which is no file in val/images.", self.layout
            )
        names, classes = [f"val/images/{name}" for name, _ in named], [of for _, of in named]
        return Listing(names, classes, sorted({*classes}))
