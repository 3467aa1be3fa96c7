"""docs/api.md and docs/cli.md are what the code says."""

import re

from docs.making import api, api_examples, cli


def test_the_api_reference_is_the_openapi_document() -> None:
    made = api.MARKED.extracted(api.PAGE.read_text())
    assert made == api.rendered(api.document()), "run 'make reference'"


def test_the_command_line_reference_is_the_commands() -> None:
    assert cli.MARKED.extracted(cli.PAGE.read_text()) == cli.rendered(), "run 'make reference'"


def test_every_route_has_an_example_and_every_example_a_route() -> None:
    found = {
        (method.upper(), path)
        for path, operations in api.document()["paths"].items()
        for method in operations
    }
    assert found == api_examples.EXAMPLES.keys()


def test_no_route_announces_an_error_that_the_server_answers_otherwise() -> None:
    for operations in api.document()["paths"].values():
        for operation in operations.values():
            assert "422" not in operation["responses"]
            assert "default" in operation["responses"]
            assert operation["description"]


def test_every_field_of_a_document_is_described() -> None:
    schemas = api.document()["components"]["schemas"]
    for name, schema in schemas.items():
        assert "Attributes:" not in schema.get("description", "")
        assert "properties" in schema or "enum" in schema, name
        fields = schema.get("properties", {})
        assert not [one for one in fields if not fields[one].get("description", one == "object")], (
            name
        )
    fields = schemas["ProfileDocument"]["properties"]
    assert fields["digest"]["description"] == "sha256 of its artifact."
    assert "lethe eval" in fields["evidence"]["description"]


def test_every_command_and_option_is_there() -> None:
    page = cli.rendered()
    names = [name for name, _ in cli.commands()]
    assert len(names) == len(set(names)) >= 38
    assert {"lethe serve", "lethe fit rocr", "lethe profiles add"} <= set(names)
    for name, command in cli.commands():
        part = page.partition(f"## {name}\n")[2].partition("\n## ")[0]
        for one in command.params:
            for option in one.opts if one.param_type_name == "option" else ():
                assert re.search(f"`{option}`", part), (name, option)
