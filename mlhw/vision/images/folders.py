"""Images in folders of classes: which files, which class, which split.

Only names are looked at here; ``file_images`` reads the files. All that is wrong is reported at once.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from mlhw.errors import DataError
from mlhw.text.words import quantity
from mlhw.vision.images.decode import SUFFIXES
from mlhw.vision.images.listing import (
    ListedImage,
    Listing,
    all_classes,
    class_problems,
    portable_name,
    refuse,
    split_of,
)

_NOT_CLASSES = {"__MACOSX", "@eaDir"}


def list_folder(root: Path, log: Callable[[str], None], *, to_train: bool = True) -> Listing:
    """``train/CLASS/*`` with ``val/`` and ``test/`` or without, or ``CLASS/*``.

    A split's folder may be called by any word of ``SPLIT_WORDS``, in any case. ``val/CLASS/*`` and
    ``test/CLASS/*`` may also stand beside the classes of ``CLASS/*``. A ``test/`` without folders of
    classes is passed over. Files may lie deeper in a class's folder, and they and the folders may be
    links to elsewhere. Hidden files and files without the suffix of an image are left out; ``log`` is
    told of all that is. Without ``to_train`` nothing is asked of the classes, and no split need be there.

    Raises DataError for an empty class, a class that train lacks, fewer than two classes, names that
    differ in case alone, two folders for one split, a folder of images that no split would use, and
    links that lead nowhere or to what holds the folder itself.
    """
    if not root.is_dir():
        raise DataError(f"{root}: {'is no folder' if root.exists() else 'there is no such folder'}")
    try:
        return _listing(root.resolve(), log, to_train)
    except OSError as error:
        raise DataError(f"{error.filename}: cannot be read: {error.strerror}") from error


def _listing(root: Path, log: Callable[[str], None], to_train: bool) -> Listing:
    folders = _split_folders(root, log, to_train)
    walk = _Walk(root)
    splits: dict[str, list[ListedImage]] = {}
    classes: dict[str, list[str]] = {}
    for split, folder in folders.items():
        names = walk.class_folders(folder)
        if folder == root:  # the classes, beside which other splits may stand
            names = [name for name in names if not split_of(name)]
        classes[split] = names
        splits[split] = [
            sample for name in names for sample in walk.samples(folder / name, label=name)
        ]
        present = {sample.label for sample in splits[split]}
        walk.problems += [
            f"{folder / name}: class {name!r} is empty: there is no image in its folder"
            for name in names
            if name not in present
        ]
        splits[split].sort(key=lambda sample: sample.name)
    if to_train:
        walk.problems += class_problems(str(root), classes)
    refuse(walk.problems)
    if walk.left_out:
        kinds = ", ".join(f"{kind} ({count})" for kind, count in walk.left_out.most_common(5))
        log(f"{root}: passed over files that are no images of a class: {kinds}")
    if walk.links:
        log(f"{root}: {walk.links} links lead to images outside of the folder")
    origins = {
        split: f"{folder.name}/" if folder != root else f"the folders of {root.name}/"
        for split, folder in folders.items()
    }
    return Listing(splits, classes["train"] if to_train else all_classes(splits), origins)


# --------------------------------------------------------------------------------- layout


def _split_folders(root: Path, log: Callable[[str], None], to_train: bool) -> dict[str, Path]:
    """The folder of each split; the root itself is that of train where it holds the classes."""
    inside = _folders_in(root)
    found = {split: _folder_of(root, inside, split, log) for split in ("train", "val", "test")}
    named = {split: folder for split, folder in found.items() if folder is not None}
    others = [name for name in inside if not split_of(name)]
    if "train" in named:
        idle = [name for name in others if holds_images(root / name)]
        if not _folders_in(named["train"]):
            raise DataError(
                f"{named['train']}: holds images but no folders of classes; expected train/CLASS/*, a list "
                f"as csv:PATH, or, if {named['train'].name!r} is a class itself, all classes in train/"
            )
        if idle:
            raise DataError(
                f"{root}: {_quoted(idle)} beside {named['train'].name}/ would be used for nothing; move "
                "the images into the folder of a split, or out of this folder"
            )
        if loose := sum(
            _is_image(e.name) for e in entries_of(root) if _counts(e.name) and e.is_file()
        ):
            log(f"{root}: passed over: {quantity(loose, 'image')} beside {named['train'].name}/")
    elif not others and named:
        if to_train:
            names = ", ".join(sorted(folder.name for folder in named.values()))
            raise DataError(f"{root}: has {names} but no train")
    else:
        if to_train:
            _refuse_splits_inside(root, others)
        named = {"train": root, **named}
    for split in [split for split in ("val", "test") if split in named]:
        if _folders_in(named[split]):
            continue
        if split == "val":
            raise DataError(
                f"{named[split]}: holds images but no folders of classes; expected "
                f"{named[split].name}/CLASS/*"
            )
        folder = named.pop(split)
        log(
            f"{folder}: passed over: its images lie in no folders of classes, so nothing can be tested"
        )
        if named.get("train") == root:
            log(f"{folder}: if {folder.name!r} is a class itself, put all classes into train/")
    return named


def _folder_of(
    root: Path, inside: list[str], split: str, log: Callable[[str], None]
) -> Path | None:
    """The folder among ``inside`` that a word for ``split`` names; None without one."""
    names = [name for name in inside if split_of(name) == split]
    full = [name for name in names if holds_images(root / name)]
    if len(full) > 1:
        raise DataError(f"{root}: has both {' and '.join(full)}; which one is meant?")
    if names and not full:
        if split != "test":
            raise DataError(f"{root / names[0]}: there is no image in this folder")
        log(f"{root / names[0]}: passed over: there is no image in it")
    return root / full[0] if full else None


def _refuse_splits_inside(root: Path, classes: list[str]) -> None:
    """Raise DataError where the splits stand inside of the classes, or all of it one level deeper."""
    for name in classes:
        words = [word for word in _folders_in(root / name) if split_of(word)]
        if "train" in map(split_of, words) and len({split_of(word) for word in words}) > 1:
            meant = (
                f"did you mean folder:{root / name}?"
                if len(classes) == 1
                else "expected train/CLASS/*, not CLASS/train/*"
            )
            raise DataError(f"{root}: {name}/ holds the splits {', '.join(words)}; {meant}")
    if len(classes) == 1 and len(_folders_in(root / classes[0])) > 1:
        raise DataError(
            f"{root}: {classes[0]}/ is the only class; did you mean folder:{root / classes[0]}?"
        )


def _folders_in(folder: Path) -> list[str]:
    return sorted(e.name for e in entries_of(folder) if e.is_dir() and _counts(e.name))


def holds_images(folder: Path) -> bool:
    """Whether a file with the suffix of an image lies in the folder or below, links to folders included."""
    pending, seen = [folder], set()
    while pending:
        current = pending.pop()
        if (real := current.resolve()) in seen:
            continue
        seen.add(real)
        for entry in entries_of(current):
            if not _counts(entry.name):
                continue
            if entry.is_dir():
                pending.append(Path(entry.path))
            elif _is_image(entry.name):
                return True
    return False


def _quoted(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(f"{name}/" for name in names[:3]) + more


# --------------------------------------------------------------------------------- files


class _Walk:
    """Finds images below ``root``; collects problems, and counts the files that it leaves out."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.problems: list[str] = []
        self.left_out: Counter[str] = Counter()
        self.links = 0

    def class_folders(self, folder: Path) -> list[str]:
        names = []
        for entry in entries_of(folder):
            if not _counts(entry.name):
                continue
            if entry.is_dir():
                names.append(entry.name)
            elif entry.is_file():
                self._leave_out(entry.name)
        return sorted(names)

    def samples(self, folder: Path, label: str) -> Iterator[ListedImage]:
        pending, seen, home = [folder], set(), folder.resolve()
        while pending:
            current = pending.pop()
            real = current.resolve()
            if real in seen:
                continue
            seen.add(real)
            if self.root.is_relative_to(real) or (home != real and home.is_relative_to(real)):
                self.problems.append(f"{current}: is a link to {real}, in which it lies itself")
                continue
            outside = not real.is_relative_to(self.root)
            for entry in entries_of(current):
                if not _counts(entry.name):
                    continue
                path = Path(entry.path)
                if entry.is_dir():
                    pending.append(path)
                elif not _is_image(entry.name):
                    self._leave_out(entry.name)
                elif entry.is_file():
                    self.links += outside or (
                        entry.is_symlink() and not path.resolve().is_relative_to(self.root)
                    )
                    yield ListedImage(path, portable_name(path.relative_to(self.root)), label)
                elif entry.is_symlink():
                    self.problems.append(
                        f"{path}: is a link to {os.readlink(path)}, where no file is"
                    )
                else:
                    self.problems.append(f"{path}: is no file")

    def _leave_out(self, name: str) -> None:
        self.left_out[os.path.splitext(name)[1].lower() or "no suffix"] += 1


def entries_of(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return list(entries)


def _counts(name: str) -> bool:
    return not name.startswith(".") and name not in _NOT_CLASSES


def _is_image(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in SUFFIXES
