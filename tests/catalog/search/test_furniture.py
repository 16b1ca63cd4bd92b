"""What ``migrate`` puts in place beside the tables."""

import pytest
from django.db import connection, connections

from catalog.models import Listing
from catalog.search import furniture

pytestmark = pytest.mark.django_db


def test_everything_is_there_after_migrating() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT extname FROM pg_extension")
        assert {name for (name,) in cursor.fetchall()} >= set(furniture.EXTENSIONS)
        cursor.execute("SELECT tgname FROM pg_trigger WHERE tgname LIKE 'listing_%'")
        assert {name for (name,) in cursor.fetchall()} == {
            "listing_added",
            "listing_changed",
            "listing_emptied",
            "listing_repo_changed",
            "listing_price_changed",
            "listing_text_changed",
        }


def test_putting_it_in_place_again_changes_nothing() -> None:
    furniture.create_extensions(using="default")
    furniture.create_functions(using="default")

    test_everything_is_there_after_migrating()


def test_a_database_without_the_tables_is_left_alone() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE catalog_listingchange RENAME TO gone")
        cursor.execute("DROP FUNCTION catalog_words(text)")

        furniture.create_functions(using="default")

        cursor.execute("SELECT count(*) FROM pg_proc WHERE proname = 'catalog_words'")
        assert cursor.fetchone() == (0,)


def test_counters_are_columns() -> None:
    columns = {field.column for field in Listing._meta.fields}

    assert set(furniture.COUNTERS) < columns
    assert connections["default"].vendor == "postgresql"
