"""Reading history: a revision's commits, and the last commit of each path."""

from collections.abc import Iterable

from django.db import connection

from catalog.models import Commit, ModelRepo

_ANCESTORS = """
    WITH RECURSIVE line AS (
        SELECT id, oid, parent_oid, depth FROM catalog_commit
        WHERE repo_id = %(repo)s AND oid = %(oid)s
      UNION ALL
        SELECT c.id, c.oid, c.parent_oid, c.depth
        FROM catalog_commit c JOIN line ON c.repo_id = %(repo)s AND c.oid = line.parent_oid
    )
"""


def history(repo: ModelRepo, head_oid: str, *, limit: int, skip: int = 0) -> list[Commit]:
    """Return commits along first parents from ``head_oid``, newest first.

    Args:
        repo: The repository.
        head_oid: Where to start, a full commit id.
        limit: At most so many.
        skip: Leave out the first so many.
    """
    sql = _ANCESTORS + "SELECT id FROM line ORDER BY depth DESC LIMIT %(limit)s OFFSET %(skip)s"  # noqa: S608
    params: dict[str, int | str] = {"repo": repo.pk, "oid": head_oid, "limit": limit, "skip": skip}
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        ids = [row[0] for row in cursor.fetchall()]
    return list(Commit.objects.filter(pk__in=ids).order_by("-depth"))


def count(repo: ModelRepo, head_oid: str) -> int:
    """Return how many commits the history of ``head_oid`` has."""
    return Commit.objects.values_list("depth", flat=True).get(repo=repo, oid=head_oid) + 1


def last_commits(repo: ModelRepo, head_oid: str, paths: Iterable[str]) -> dict[str, Commit]:
    """Return, for each of ``paths``, the newest commit of the history that changed it.

    A commit is in the history of ``head_oid`` when it lies on its first-parent line; folders
    count as changed by every commit that changed something in them.
    """
    wanted = list(dict.fromkeys(paths))
    sql = (
        _ANCESTORS  # noqa: S608 - constants only
        + """
        SELECT DISTINCT ON (p.path) p.path, p.commit_id
        FROM catalog_commitpath p JOIN line ON line.id = p.commit_id
        WHERE p.path = ANY(%(paths)s)
        ORDER BY p.path, line.depth DESC
        """
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, {"repo": repo.pk, "oid": head_oid, "paths": wanted})
        found: dict[str, int] = dict(cursor.fetchall())
    commits = Commit.objects.in_bulk(set(found.values()))
    return {path: commits[pk] for path, pk in found.items()}
