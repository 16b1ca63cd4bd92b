"""Git objects, refs and an index over commits. Ids are exactly git's."""

from django.db import models

from catalog.models.repo import ModelRepo

SMALL_FILE_DIGEST = models.Func(
    models.F("data"), function="sha256", output_field=models.BinaryField()
)
"""Hash of a file that git itself keeps, as an index has it."""


class GitObject(models.Model):
    """One git object of one repository.

    Objects are kept per repository, not shared: knowing an id must never show another
    repository's content.
    """

    class Kind(models.IntegerChoices):
        """Git's own type numbers."""

        COMMIT = 1
        TREE = 2
        BLOB = 3
        TAG = 4

    repo = models.ForeignKey(ModelRepo, models.CASCADE, related_name="+")
    oid = models.CharField(max_length=40, db_collation="C")
    kind = models.SmallIntegerField(choices=Kind.choices)
    size_bytes = models.IntegerField()
    data = models.BinaryField()
    """The object's content without git's header."""
    lfs_sha256 = models.CharField(max_length=64, blank=True)
    """Set when the blob is an LFS pointer: what it points at."""
    lfs_size_bytes = models.BigIntegerField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["repo", "oid"], name="git_object_once")]
        indexes = [
            models.Index(
                fields=["repo", "lfs_sha256"], condition=~models.Q(lfs_sha256=""), name="git_lfs"
            ),
            models.Index(
                models.F("repo"),
                SMALL_FILE_DIGEST,
                condition=models.Q(kind=3, lfs_sha256=""),
                name="git_small_files",
            ),
            models.Index(fields=["repo"], condition=models.Q(kind=1), name="git_commits"),
        ]

    def __str__(self) -> str:
        return f"{self.Kind(self.kind).label} {self.oid}"


class Ref(models.Model):
    """A name for a commit or an annotated tag: ``refs/heads/main``, ``refs/tags/v1``."""

    repo = models.ForeignKey(ModelRepo, models.CASCADE, related_name="refs")
    name = models.CharField(max_length=255, db_collation="C")
    oid = models.CharField(max_length=40)
    """What git shows: for an annotated tag the tag object."""
    commit_oid = models.CharField(max_length=40)
    """The commit it leads to."""
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["repo", "name"], name="ref_once")]

    def __str__(self) -> str:
        return f"{self.name} → {self.oid[:8]}"


class Commit(models.Model):
    """Index row of a commit object: what lists and histories need without parsing."""

    repo = models.ForeignKey(ModelRepo, models.CASCADE, related_name="commits")
    oid = models.CharField(max_length=40, db_collation="C")
    tree_oid = models.CharField(max_length=40)
    parent_oid = models.CharField(max_length=40, blank=True)
    """First parent, empty for a root."""
    depth = models.IntegerField()
    """Commits before this one along first parents; a root has 0."""
    author = models.CharField(max_length=120)
    """The hub shows user names here."""
    title = models.CharField(max_length=1000)
    message = models.TextField(blank=True)
    """Everything after the first line."""
    authored_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["repo", "oid"], name="commit_once")]
        indexes = [models.Index(fields=["repo", "-depth"], name="commit_by_depth")]

    def __str__(self) -> str:
        return f"{self.oid[:8]} {self.title}"


class CommitPath(models.Model):
    """A path that a commit changed against its first parent: files, and every folder above."""

    id = models.BigAutoField(primary_key=True)
    commit = models.ForeignKey(Commit, models.CASCADE, related_name="paths")
    path = models.CharField(max_length=1024, db_collation="C")

    class Meta:
        indexes = [models.Index(fields=["path", "commit"], name="commit_path")]

    def __str__(self) -> str:
        return self.path
