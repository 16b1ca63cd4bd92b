"""A tree being edited: loads only the folders it touches, writes only those that changed."""

from __future__ import annotations

from catalog.history.errors import BadPathError
from catalog.history.objects import (
    EMPTY_TREE,
    FILE_MODE,
    TREE_MODE,
    ObjectStore,
    TreeItem,
    make_tree,
)


class _Folder:
    """One folder: its lines, and the opened folders below it."""

    def __init__(self, items: list[TreeItem]) -> None:
        self.items = {item.name: item for item in items}
        self.opened: dict[str, _Folder] = {}


class WorkTree:
    """Edits on top of a tree.

    Args:
        store: Where trees are read from and written to.
        root_oid: The tree to start from; ``EMPTY_TREE`` for none.
    """

    def __init__(self, store: ObjectStore, root_oid: str = EMPTY_TREE) -> None:
        self.store = store
        self.root = _Folder(store.tree(root_oid))

    def get(self, path: str) -> TreeItem | None:
        """Return the file or folder at ``path``; of an edited folder only the mode is true."""
        folder, name = self._walk(path)
        return folder.items.get(name) if folder else None

    def put(self, path: str, oid: str, mode: int = FILE_MODE) -> None:
        """Set the file at ``path``.

        Raises:
            BadPathError: a folder stands there, or a file stands where a folder is needed.
        """
        folder, name = self._walk(path, create=True)
        assert folder is not None  # noqa: S101
        there = folder.items.get(name)
        if there is not None and there.is_tree:
            raise BadPathError(f"'{path}' is a folder. Delete it first.", path=path)
        folder.items[name] = TreeItem(name, mode, oid)

    def delete(self, path: str) -> bool:
        """Take away the file or folder at ``path``. ``False``: there was none."""
        folder, name = self._walk(path)
        if folder is None or name not in folder.items:
            return False
        del folder.items[name]
        folder.opened.pop(name, None)
        return True

    def is_empty_folder(self, path: str) -> bool:
        """Whether a folder stands at ``path`` whose last file was taken away."""
        folder, name = self._walk(path)
        item = folder.items.get(name) if folder else None
        if folder is None or item is None or not item.is_tree:
            return False
        return _holds_nothing(folder.opened.get(name) or _Folder(self.store.tree(item.oid)))

    def write(self) -> str:
        """Add every changed folder to the store and return the root's id. Empty folders vanish."""
        return self._write(self.root) or self.store.add(make_tree([]))

    def _walk(self, path: str, *, create: bool = False) -> tuple[_Folder | None, str]:
        """Return (folder that holds the last part of ``path``, that part)."""
        *folders, name = path.split("/")
        here = self.root
        for part in folders:
            below = here.opened.get(part) or self._open(here, part, path, create=create)
            if below is None:
                return None, name
            here = below
        return here, name

    def _open(self, here: _Folder, part: str, path: str, *, create: bool) -> _Folder | None:
        item = here.items.get(part)
        if item is not None and not item.is_tree:
            if create:
                raise BadPathError(f"'{path}' lies below '{part}', which is a file.", path=path)
            return None
        if item is None and not create:
            return None
        below = _Folder(self.store.tree(item.oid) if item else [])
        here.opened[part] = below
        if item is None:
            here.items[part] = TreeItem(part, TREE_MODE, EMPTY_TREE)
        return below

    def _write(self, folder: _Folder) -> str | None:
        for name, below in folder.opened.items():
            oid = self._write(below)
            if oid is None:
                folder.items.pop(name, None)
            else:
                folder.items[name] = TreeItem(name, TREE_MODE, oid)
        if not folder.items:
            return None
        return self.store.add(make_tree(folder.items.values()))


def _holds_nothing(folder: _Folder) -> bool:
    return all(
        item.is_tree and name in folder.opened and _holds_nothing(folder.opened[name])
        for name, item in folder.items.items()
    )
