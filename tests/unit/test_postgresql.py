"""The databases that tests of a store are given are real, and empty."""

import sqlalchemy
from sqlalchemy import text


def test_a_database_is_empty_and_of_the_kind_its_url_says(database_url: str) -> None:
    engine = sqlalchemy.create_engine(database_url)
    with engine.begin() as connection:
        version = "sqlite_version" if "sqlite" in database_url else "version"
        found = connection.execute(text(f"SELECT {version}()")).scalar_one()
        assert found.startswith("PostgreSQL" if "postgresql" in database_url else "3.")
        assert sqlalchemy.inspect(connection).get_table_names() == []
        connection.execute(text("CREATE TABLE here (a INTEGER)"))
    engine.dispose()


def test_no_test_sees_anothers_tables(database_url: str) -> None:
    engine = sqlalchemy.create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE here (a INTEGER)"))
    engine.dispose()
