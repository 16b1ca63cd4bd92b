"""How the first migration of a room makes its tables: all at once.

Django renders the related models anew after each of hundreds of operations, which took most of the
time of a first start; the tables of an empty database need every model just once.
"""

from typing import ClassVar

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState


class FirstMigration(migrations.Migration):
    """The first migration of an app; the script ``fresh-migrations`` writes it as its base.

    It does what its operations say, in fewer steps: each table is made with all the columns,
    constraints and indexes that they come to.
    """

    COMPLETE_WITH_TABLE: ClassVar[tuple[type[Operation], ...]] = (
        migrations.AddField,
        migrations.AddConstraint,
        migrations.AddIndex,
    )
    """What a table has from the beginning when it is made of its final model."""

    def apply(
        self,
        project_state: ProjectState,
        schema_editor: BaseDatabaseSchemaEditor,
        collect_sql: bool = False,
    ) -> ProjectState:
        """Make the tables; with ``collect_sql`` (``sqlmigrate``) as Django does it.

        Args:
            project_state: What there was before.
            schema_editor: Of the database.
            collect_sql: Only write down what would be done.

        Returns:
            What there is then, with its models rendered.

        Raises:
            TypeError: an operation is of a kind that no first migration has.
        """
        if collect_sql:
            return super().apply(project_state, schema_editor, collect_sql)
        after = project_state.clone()
        after.__dict__.pop("apps", None)  # so that no operation renders models
        for operation in self.operations:
            operation.state_forwards(self.app_label, after)
        for operation in self.operations:
            if isinstance(operation, migrations.CreateModel):
                operation.database_forwards(self.app_label, schema_editor, after, after)
            elif not isinstance(operation, self.COMPLETE_WITH_TABLE):
                raise TypeError(f"{operation} is for a later migration.")
        return after
