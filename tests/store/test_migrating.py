"""The tables of an empty database are made at once, and nothing of the models is left out."""

from importlib import import_module

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import connection, migrations, models
from django.db.migrations.state import ProjectState

from store.core.migrating import FirstMigration

pytestmark = pytest.mark.django_db
ROOMS = {"core": "store.core"} | {
    name: name for name in ("accounts", "catalog", "licensing", "inference")
}


def names_of(query: str) -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(query)
        return {name for (name,) in cursor.fetchall()}


@pytest.mark.parametrize("room", ROOMS.values())
def test_every_room_begins_with_one(room: str) -> None:
    found = import_module(f"{room}.migrations.0001_initial").Migration
    assert issubclass(found, FirstMigration)


def test_all_constraints_and_indexes_of_the_models_are_in_the_database() -> None:
    wanted = {
        row.name
        for label in ROOMS
        for model in apps.get_app_config(label).get_models()
        for row in [*model._meta.constraints, *model._meta.indexes]
    }
    assert len(wanted) > 150
    there = names_of("SELECT conname FROM pg_constraint") | names_of(
        "SELECT indexname FROM pg_indexes"
    )
    assert wanted <= there


class Small(FirstMigration):
    """Two tables that name each other, with what may follow them."""

    operations = [
        migrations.CreateModel("Left", [("id", models.BigAutoField(primary_key=True))]),
        migrations.CreateModel(
            "Right",
            [
                ("id", models.BigAutoField(primary_key=True)),
                ("left", models.ForeignKey("core.left", models.CASCADE)),
            ],
        ),
        migrations.AddField(
            "left", "right", models.ForeignKey("core.right", models.CASCADE, null=True)
        ),
        migrations.AddField("left", "size", models.IntegerField()),
        migrations.AddConstraint(
            "left",
            models.CheckConstraint(condition=models.Q(size__gte=0), name="left_size_is_positive"),
        ),
        migrations.AddIndex("left", models.Index(fields=["size"], name="left_by_size")),
    ]


def test_later_columns_constraints_and_indexes_come_with_the_table() -> None:
    before = ProjectState()

    with connection.schema_editor() as editor:
        after = Small("0001_small", "core").apply(before, editor)

    assert before.models == {}
    assert set(after.models) == {("core", "left"), ("core", "right")}
    with connection.cursor() as cursor:
        found = connection.introspection.get_constraints(cursor, "core_left")
        columns = connection.introspection.get_table_description(cursor, "core_left")
    assert {column.name for column in columns} == {"id", "right_id", "size"}
    assert {"left_size_is_positive", "left_by_size"} <= set(found)
    keys = [row["foreign_key"] for row in found.values() if row["foreign_key"]]
    assert keys == [("core_right", "id")]


def test_what_is_no_first_migration_is_refused_and_makes_nothing() -> None:
    class Late(Small):
        operations = [*Small.operations, migrations.RunSQL("SELECT 1")]

    with pytest.raises(TypeError, match="later migration"):
        with connection.schema_editor() as editor:
            Late("0001_late", "core").apply(ProjectState(), editor)

    assert "core_left" not in connection.introspection.table_names()


def test_the_statements_can_be_read(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("sqlmigrate", "core", "0001")
    assert 'CREATE TABLE "core_job"' in capsys.readouterr().out
